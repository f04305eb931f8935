// Command fusermountd mounts and unmounts FUSE file systems for clients that can run no set-uid
// program: in containers, sandboxes, and services with no_new_privs. fusermountd(8) describes it.
package main

import (
	"os"

	"github.com/go-fusermount/fusermount/internal/service"
)

// version is set by the linker, from git.
var version = "development"

// A worker runs during initialization, on the main thread, as the set-uid program does.
func init() {
	if len(os.Args) == 2 && os.Args[1] == service.WorkerArgument {
		os.Exit(service.Work(version))
	}
}

func main() { os.Exit(run(os.Args[1:])) }
