// Command hello-gofuse serves one file, "hello", with the library
// github.com/hanwen/go-fuse/v2:
//
//	hello-gofuse MOUNTPOINT
//
// It ends when somebody unmounts it: fusermount3 -u MOUNTPOINT.
package main

import (
	"context"
	"log"
	"os"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("hello-gofuse: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: hello-gofuse MOUNTPOINT")
	}
	// The library looks for fusermount3 in PATH, then in /bin. It would mount
	// by itself only with DirectMount, which stays false here.
	server, err := fs.Mount(os.Args[1], &root{}, &fs.Options{
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

// root is the directory at the mountpoint.
type root struct{ fs.Inode }

// OnAdd is called once, when the file system is mounted.
func (r *root) OnAdd(ctx context.Context) {
	hello := &fs.MemRegularFile{
		Data: []byte("hello, world\n"),
		Attr: fuse.Attr{Mode: 0o444},
	}
	r.AddChild("hello", r.NewPersistentInode(ctx, hello, fs.StableAttr{}), false)
}
