// Command client-gofuse serves one file, "hello", with the library
// github.com/hanwen/go-fuse/v2, and mounts with the client package:
//
//	client-gofuse MOUNTPOINT
//
// It ends when it is unmounted, or when it is told to by a signal.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/examples/hellofs/gofusefs"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("client-gofuse: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: client-gofuse MOUNTPOINT")
	}
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func serve(mountpoint string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	m, err := fusermount.Mount(ctx, mountpoint, &fusermount.Options{FSName: "hello", Subtype: "hello", ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	// The library closes the number that it takes over, so it gets one of its own.
	fd, err := unix.FcntlInt(m.File().Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	server, err := fs.Mount(fmt.Sprintf("/dev/fd/%d", fd), &gofusefs.Root{}, nil)
	if err != nil {
		return err
	}
	unmounted := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		err := m.Unmount(context.Background(), &fusermount.UnmountOptions{Policy: fusermount.UnmountLazy})
		if err != nil {
			log.Print(err) // it is served until somebody else unmounts it
		}
		unmounted <- err
	})()
	server.Wait() // until it is unmounted
	if ctx.Err() != nil {
		return <-unmounted
	}
	return nil
}
