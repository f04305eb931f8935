package main

import (
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/go-fusermount/fusermount"
)

// byHelper times a mount by a helper, which both find in PATH. In both cases
// go-fuse serves: until it has answered the kernel's first question, and until
// its loop has ended.
func byHelper(dir string, runs int) error {
	ours := &contestant{round: byPackage(dir, fusermount.Options{FSName: "bench", Subtype: "bench", Method: fusermount.MethodHelper})}
	theirs := &contestant{round: byGoFuse(dir)}
	return compare("by the helper", "go-fuse", runs, ours, theirs)
}

func newServer(mountpoint string) (*fuse.Server, error) {
	return fuse.NewServer(fuse.NewDefaultRawFileSystem(), mountpoint, &fuse.MountOptions{FsName: "bench", Name: "bench"})
}

func serve(server *fuse.Server) (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		server.Serve()
		close(ended)
	}()
	return ended
}
