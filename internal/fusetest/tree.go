package fusetest

import (
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// Tree is what a [Server] serves: one directory with regular files in it, or
// one regular file. It must not be changed while a server uses it.
type Tree struct {
	// Files are the root directory's entries, by name.
	Files map[string][]byte
	// FileRoot, when not nil, makes the root a regular file with this
	// content, for a mount on a regular file. Files is ignored then.
	FileRoot []byte
	// Lies replaces the attributes that the server reports, by name; the
	// empty name is the root. A hostile daemon can claim anything.
	Lies map[string]Attr
}

// Attr is what a server can lie about. A Mode, Size or Ino of zero means the
// honest one; ids and the device number are zero when nobody lies.
type Attr struct {
	Mode     uint32 // whole st_mode, with the file type
	UID, GID uint32
	Rdev     uint32
	Size     uint64
	Ino      uint64
}

// node is a file of a tree; its number is its place in the table plus one.
type node struct {
	id   uint64
	name string
	data []byte
	attr wireAttr
}

// nodes numbers the tree's files: the root first, then the entries by name.
func (t Tree) nodes() []node {
	if t.FileRoot != nil {
		return []node{t.node(rootNode, "", t.FileRoot, unix.S_IFREG|0o644)}
	}
	all := []node{t.node(rootNode, "", nil, unix.S_IFDIR|0o755)}
	for i, name := range slices.Sorted(maps.Keys(t.Files)) {
		all = append(all, t.node(rootNode+1+i, name, t.Files[name], unix.S_IFREG|0o644))
	}
	return all
}

func (t Tree) node(ino int, name string, data []byte, mode uint32) node {
	a := wireAttr{Ino: uint64(ino), Size: uint64(len(data)), Mode: mode, Nlink: 1, Blksize: 4096}
	lie := t.Lies[name]
	if lie.Mode != 0 {
		a.Mode = lie.Mode
	}
	if lie.Size != 0 {
		a.Size = lie.Size
	}
	if lie.Ino != 0 {
		a.Ino = lie.Ino
	}
	a.UID, a.GID, a.Rdev = lie.UID, lie.GID, lie.Rdev
	a.Blocks = (a.Size + 511) / 512
	return node{id: uint64(ino), name: name, data: data, attr: a}
}
