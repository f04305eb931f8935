// Command hello-jacobsa serves one file, "hello", with the library
// github.com/jacobsa/fuse:
//
//	hello-jacobsa MOUNTPOINT
//
// It ends when somebody unmounts it: fusermount3 -u MOUNTPOINT.
package main

import (
	"context"
	"log"
	"os"

	"github.com/jacobsa/fuse"

	"github.com/go-fusermount/fusermount/examples/hellofs/jacobsafs"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hello-jacobsa: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: hello-jacobsa MOUNTPOINT")
	}
	// The library first tries to mount by itself, and has no switch for that.
	// Who is not root is refused by the kernel; then it looks for fusermount3
	// in PATH.
	mounted, err := fuse.Mount(os.Args[1], jacobsafs.New(), &fuse.MountConfig{
		FSName:   "hello", // the source in the mount table
		Subtype:  "hello", // the type there: fuse.hello
		ReadOnly: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := mounted.Join(context.Background()); err != nil { // until it is unmounted
		log.Fatal(err)
	}
}
