// Command hello-bazil serves one file, "hello", with the library
// bazil.org/fuse:
//
//	hello-bazil MOUNTPOINT
//
// It ends when somebody unmounts it: fusermount3 -u MOUNTPOINT.
package main

import (
	"errors"
	"log"
	"os"

	"bazil.org/fuse"
	"bazil.org/fuse/fs"

	"github.com/go-fusermount/fusermount/examples/hellofs/bazilfs"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hello-bazil: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: hello-bazil MOUNTPOINT")
	}
	if err := serve(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func serve(mountpoint string) (err error) {
	// The library looks for fusermount3 in PATH, and knows no other way.
	conn, err := fuse.Mount(mountpoint, fuse.FSName("hello"), fuse.Subtype("hello"), fuse.ReadOnly())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return fs.Serve(conn, bazilfs.FS{}) // until it is unmounted
}
