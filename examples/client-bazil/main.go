// Command client-bazil serves one file, "hello", with the library bazil.org/fuse,
// and mounts with the client package:
//
//	client-bazil MOUNTPOINT
//
// It ends when it is unmounted, or when it is told to by a signal.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"

	"bazil.org/fuse/fs"
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/examples/hellofs/bazilfs"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("client-bazil: ")
	if calledByLibrary() {
		if err := handOver(); err != nil {
			log.Fatal(err)
		}
		return
	}
	if len(os.Args) != 2 {
		log.Fatal("usage: client-bazil MOUNTPOINT")
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
	conn, err := connect(m)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	unmounted := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		err := m.Unmount(context.Background(), &fusermount.UnmountOptions{Policy: fusermount.UnmountLazy})
		if err != nil {
			log.Print(err) // it is served until somebody else unmounts it
		}
		unmounted <- err
	})()
	if err := fs.Serve(conn, bazilfs.FS{}); err != nil { // until it is unmounted
		return err
	}
	if ctx.Err() != nil {
		return <-unmounted
	}
	return nil
}
