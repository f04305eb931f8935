// Package bazilfs is one file, "hello", for the library bazil.org/fuse.
package bazilfs

import (
	"context"
	"os"
	"syscall"

	"bazil.org/fuse"
	"bazil.org/fuse/fs"
)

// FS is the file system.
type FS struct{}

// Root gives the directory at the mountpoint.
func (FS) Root() (fs.Node, error) { return root{}, nil }

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
