// Package gofusefs is one file, "hello", for the library
// github.com/hanwen/go-fuse/v2.
package gofusefs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Root is the directory at the mountpoint.
type Root struct{ fs.Inode }

// OnAdd is called once, when the file system is mounted.
func (r *Root) OnAdd(ctx context.Context) {
	hello := &fs.MemRegularFile{
		Data: []byte("hello, world\n"),
		Attr: fuse.Attr{Mode: 0o444},
	}
	r.AddChild("hello", r.NewPersistentInode(ctx, hello, fs.StableAttr{}), false)
}
