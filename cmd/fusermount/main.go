// Command fusermount, installed setuid root as fusermount3, lets users mount a FUSE
// file system that they serve where they may already write, and unmount one that is
// theirs. It opens, creates or runs nothing else with more rights than they have.
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
	"github.com/go-fusermount/fusermount/internal/helper"
)

// version is set by the linker, from git.
var version = "development"

// The whole program runs during initialization. Capabilities are raised on one thread,
// and the Go documentation promises that init functions run on the startup thread; the
// runtime keeps their goroutine there. LockOSThread would do the same, but it starts one
// more thread to clone others from, which costs a tenth of the program's life. Package
// priv checks the thread at every change of credentials.
func init() { os.Exit(helper.Run(os.Args, version)) }

func main() {}
