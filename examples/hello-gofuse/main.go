// Command hello-gofuse serves one file, "hello", with the library
// github.com/hanwen/go-fuse/v2:
//
//	hello-gofuse MOUNTPOINT
//
// It ends when somebody unmounts it: fusermount3 -u MOUNTPOINT.
package main

import (
	"log"
	"os"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/go-fusermount/fusermount/examples/hellofs/gofusefs"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hello-gofuse: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: hello-gofuse MOUNTPOINT")
	}
	// The library looks for fusermount3 in PATH, then in /bin. It would mount
	// by itself only with DirectMount, which stays false here.
	server, err := fs.Mount(os.Args[1], &gofusefs.Root{}, &fs.Options{
		MountOptions: fuse.MountOptions{
			FsName:  "hello",        // the source in the mount table
			Name:    "hello",        // the type there: fuse.hello
			Options: []string{"ro"}, // goes to the helper as it is
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	server.Wait() // until it is unmounted
}
