package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
)

// byHelper times a mount by a helper, which both find in PATH. In both cases
// go-fuse serves: until it has answered the kernel's first question, and until
// its loop has ended.
func byHelper(dir string, runs int) error {
	ctx := context.Background()
	ours := &contestant{round: func() (mount, unmount time.Duration, err error) {
		start := time.Now()
		m, err := fusermount.Mount(ctx, dir, &fusermount.Options{FSName: "bench", Subtype: "bench"})
		if err != nil {
			return 0, 0, err
		}
		fd, err := unix.FcntlInt(m.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, 0, errors.Join(err, m.Close())
		}
		server, err := newServer(fmt.Sprintf("/dev/fd/%d", fd))
		mount = time.Since(start)
		if err != nil {
			return 0, 0, errors.Join(err, m.Close())
		}
		ended := serve(server)
		start = time.Now()
		err = m.Unmount(ctx, nil)
		<-ended
		return mount, time.Since(start), errors.Join(err, m.Close())
	}}
	theirs := &contestant{round: func() (mount, unmount time.Duration, err error) {
		start := time.Now()
		server, err := newServer(dir)
		mount = time.Since(start)
		if err != nil {
			return 0, 0, err
		}
		ended := serve(server)
		start = time.Now()
		err = server.Unmount()
		<-ended
		return mount, time.Since(start), err
	}}
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
