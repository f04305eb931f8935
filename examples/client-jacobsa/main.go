// Command client-jacobsa serves one file, "hello", with the library
// github.com/jacobsa/fuse, and mounts with the client package:
//
//	client-jacobsa MOUNTPOINT
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

	"github.com/jacobsa/fuse"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/examples/hellofs/jacobsafs"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("client-jacobsa: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: client-jacobsa MOUNTPOINT")
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
	mounted, err := fuse.Mount(fmt.Sprintf("/dev/fd/%d", fd), jacobsafs.New(), &fuse.MountConfig{ReadOnly: true})
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
	if err := mounted.Join(context.Background()); err != nil { // until it is unmounted
		return err
	}
	if ctx.Err() != nil {
		return <-unmounted
	}
	return nil
}
