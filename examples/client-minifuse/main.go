// Command client-minifuse serves one file, "hello", with a library that mounts by the
// client package itself:
//
//	client-minifuse MOUNTPOINT
//
// It ends when it is unmounted, or when it is told to by a signal.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/examples/minifuse"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("client-minifuse: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: client-minifuse MOUNTPOINT")
	}
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func serve(mountpoint string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	s, err := minifuse.Mount(ctx, mountpoint, []minifuse.File{{Name: "hello", Content: "hello, world\n"}},
		fusermount.Options{FSName: "hello", Subtype: "hello"})
	if err != nil {
		return err
	}
	if err := s.Mounted.Wait(ctx); err == nil { // it was unmounted
		return s.Close()
	}
	err = s.Unmount(context.Background(), nil)
	if err != nil {
		log.Print(err) // it is served until somebody else unmounts it
		err = errors.Join(err, s.Wait())
	}
	return errors.Join(err, s.Close())
}
