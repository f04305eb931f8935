// Command fusermount, installed setuid root as fusermount3, lets users mount a FUSE file
// system that they serve where they may already write, and unmount one that is theirs. It
// opens, creates or runs nothing else with more privileges than they have.
//
// FUSE libraries run it; SECURITY.md says what it guarantees and to whom.
package main

import (
	"os"

	_ "github.com/go-fusermount/fusermount/internal/bigstack"
	"github.com/go-fusermount/fusermount/internal/helper"
)

// version is set by the linker, from git.
var version = "development"

// The whole program runs during initialization: init functions run on the startup thread, and
// capabilities are raised on that thread. LockOSThread would do the same, but starts one more
// thread, which costs a tenth of the program's life. Package priv checks the thread.
func init() { os.Exit(helper.Run(os.Args, version)) }

func main() {}
