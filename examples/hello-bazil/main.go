// Command hello-bazil serves one file, "hello", with the library
// bazil.org/fuse:
//
//	hello-bazil MOUNTPOINT
//
// It ends when somebody unmounts it: fusermount3 -u MOUNTPOINT.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"syscall"

	"bazil.org/fuse"
	"bazil.org/fuse/fs"
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
	return fs.Serve(conn, helloFS{}) // until it is unmounted
}

// helloFS is the file system.
type helloFS struct{}

func (helloFS) Root() (fs.Node, error) { return root{}, nil }

// root is the directory at the mountpoint.
type root struct{}

func (root) Attr(_ context.Context, a *fuse.Attr) error {
	a.Inode = 1
	a.Mode = os.ModeDir | 0o555
	return nil
}

func (root) Lookup(_ context.Context, name string) (fs.Node, error) {
	if name != "hello" {
		return nil, syscall.ENOENT
	}
	return file{}, nil
}

func (root) ReadDirAll(context.Context) ([]fuse.Dirent, error) {
	return []fuse.Dirent{{Inode: 2, Name: "hello", Type: fuse.DT_File}}, nil
}

// file is hello.
type file struct{}

const content = "hello, world\n"

func (file) Attr(_ context.Context, a *fuse.Attr) error {
	a.Inode = 2
	a.Mode = 0o444
	a.Size = uint64(len(content))
	return nil
}

func (file) ReadAll(context.Context) ([]byte, error) { return []byte(content), nil }
