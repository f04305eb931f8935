// Package jacobsafs is one file, "hello", for the library github.com/jacobsa/fuse.
package jacobsafs

import (
	"context"
	"os"

	"github.com/jacobsa/fuse"
	"github.com/jacobsa/fuse/fuseops"
	"github.com/jacobsa/fuse/fuseutil"
)

const (
	helloInode = fuseops.RootInodeID + 1
	content    = "hello, world\n"
)

// New gives the file system.
func New() fuse.Server { return fuseutil.NewFileSystemServer(&helloFS{}) }

// helloFS is the file system; what is not here fails with ENOSYS.
type helloFS struct {
	fuseutil.NotImplementedFileSystem
}

// attributes of the file and of the directory at the mountpoint.
func attributes(inode fuseops.InodeID) (fuseops.InodeAttributes, error) {
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	switch inode {
	case fuseops.RootInodeID:
		return fuseops.InodeAttributes{Nlink: 1, Mode: os.ModeDir | 0o555, Uid: uid, Gid: gid}, nil
	case helloInode:
		return fuseops.InodeAttributes{Nlink: 1, Mode: 0o444, Size: uint64(len(content)), Uid: uid, Gid: gid}, nil
	}
	return fuseops.InodeAttributes{}, fuse.ENOENT
}

func (*helloFS) GetInodeAttributes(_ context.Context, op *fuseops.GetInodeAttributesOp) (err error) {
	op.Attributes, err = attributes(op.Inode)
	return err
}

func (*helloFS) LookUpInode(_ context.Context, op *fuseops.LookUpInodeOp) (err error) {
	if op.Parent != fuseops.RootInodeID || op.Name != "hello" {
		return fuse.ENOENT
	}
	op.Entry.Child = helloInode
	op.Entry.Attributes, err = attributes(helloInode)
	return err
}

func (*helloFS) OpenDir(context.Context, *fuseops.OpenDirOp) error { return nil }

func (*helloFS) ReadDir(_ context.Context, op *fuseops.ReadDirOp) error {
	if op.Offset == 0 {
		op.BytesRead = fuseutil.WriteDirent(op.Dst, fuseutil.Dirent{
			Offset: 1, Inode: helloInode, Name: "hello", Type: fuseutil.DT_File,
		})
	}
	return nil
}

func (*helloFS) OpenFile(context.Context, *fuseops.OpenFileOp) error { return nil }

func (*helloFS) ReadFile(_ context.Context, op *fuseops.ReadFileOp) error {
	if op.Offset < int64(len(content)) {
		op.BytesRead = copy(op.Dst, content[op.Offset:])
	}
	return nil
}
