// Command fusermount, installed setuid root as fusermount3, lets a user mount
// a FUSE file system that he serves where he may already write, and unmount
// one that is his. It opens, creates or runs nothing else with more rights
// than he has.
//
// FUSE libraries run it; SECURITY.md says what it guarantees and to whom.
//
// The settings below keep the Go runtime from holding cgroup files open and
// from watching them: the helper has no use for a number of processors. (It
// looks at them once before main all the same.) The third keeps it from naming its
// memory, which takes a system call for each mapping. The Makefile repeats them.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
//go:debug decoratemappings=0
package main

import (
	"os"

	_ "github.com/go-fusermount/fusermount/internal/bigstack"
)

// The whole program runs during initialization. Credentials belong to threads,
// and the Go documentation promises that init functions run on the startup
// thread; the runtime keeps their goroutine there. Locking it again with
// LockOSThread would be the same, but starts one more thread to clone others
// from, which costs a tenth of the program's life; package priv does it where it has
// to. It checks the thread at every change of credentials.
func init() { os.Exit(run(os.Args)) }

func main() {}
