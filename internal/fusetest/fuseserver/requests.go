package fuseserver

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// serve records one request, makes its reply, and sends it or holds it back.
func (e *engine) serve(request []byte) error {
	var h inHeader
	body, ok := decode(request, &h)
	if !ok || int(h.Len) != len(request) {
		return fmt.Errorf("fuse request of %d bytes is cut off", len(request))
	}
	op := Opcode(h.Opcode)
	e.mu.Lock()
	e.requests = append(e.requests, Request{op, h.UID, h.GID})
	hung := e.mode == Hung
	e.mu.Unlock()

	switch op {
	case OpForget, OpBatchForget, OpInterrupt:
		return nil // these have no reply
	}
	if slices.Contains(e.silent, op) {
		return nil
	}
	payload, errno := e.answer(op, h.NodeID, body)
	reply := frame(h.Unique, errno, payload)
	if hung && (op != OpInit || e.holdInit) {
		e.held = append(e.held, held{op, reply})
		return nil
	}
	return e.send(held{op, reply})
}

// held is a reply, and the kind of its request.
type held struct {
	op    Opcode
	reply []byte
}

// send sends a reply. If it is that to INIT, it calls onInit.
func (e *engine) send(h held) error {
	if err := e.write(h.reply); err != nil {
		return err
	}
	if h.op == OpInit && !e.inited {
		e.inited = true
		e.onInit()
	}
	return nil
}

// frame puts the header before a reply.
func frame(unique uint64, errno unix.Errno, payload []byte) []byte {
	if errno != 0 {
		payload = nil
	}
	h := outHeader{Len: uint32(16 + len(payload)), Error: -int32(errno), Unique: unique}
	return append(encode(nil, h), payload...)
}

// answer makes the reply's payload.
func (e *engine) answer(op Opcode, id uint64, body []byte) ([]byte, unix.Errno) {
	switch op {
	case OpInit:
		return answerInit(body)
	case OpStatfs:
		return encode(nil, statfsOut{Blocks: 100, Bfree: 50, Bavail: 50, Files: uint64(len(e.nodes)), Bsize: 4096, Namelen: 255, Frsize: 4096}), 0
	case OpAccess, OpDestroy, OpRelease, OpReleasedir:
		return nil, 0
	case OpOpen, OpOpendir:
		return encode(nil, openOut{}), 0
	}
	n, ok := e.node(id)
	if !ok {
		return nil, unix.ENOENT
	}
	switch op {
	case OpLookup:
		return e.lookup(n, cstring(body))
	case OpGetattr:
		return encode(nil, attrOut{Attr: n.attr}), 0
	case OpRead:
		return answerRead(n, body)
	case OpReaddir:
		return e.readdir(body)
	}
	return nil, unix.ENOSYS
}

func (e *engine) node(id uint64) (node, bool) {
	if id < rootNode || id > uint64(len(e.nodes)) {
		return node{}, false
	}
	return e.nodes[id-rootNode], true
}

func answerInit(body []byte) ([]byte, unix.Errno) {
	var in initIn
	if _, ok := decode(body, &in); !ok {
		return nil, unix.EPROTO
	}
	return encode(nil, initOut{
		Major: protoMajor, Minor: min(in.Minor, protoMinor), MaxReadahead: in.MaxReadahead,
		MaxBackground: 16, CongestionThreshold: 12, MaxWrite: maxWrite, TimeGran: 1,
	}), 0
}

// lookup answers with no time to live, so that each access causes a request and is
// counted.
func (e *engine) lookup(dir node, name string) ([]byte, unix.Errno) {
	if dir.id != rootNode || name == "" {
		return nil, unix.ENOENT
	}
	for _, n := range e.nodes {
		if n.name == name {
			return encode(nil, entryOut{NodeID: n.id, Attr: n.attr}), 0
		}
	}
	return nil, unix.ENOENT
}

func answerRead(n node, body []byte) ([]byte, unix.Errno) {
	var in readIn
	if _, ok := decode(body, &in); !ok {
		return nil, unix.EPROTO
	}
	size := uint64(len(n.data))
	from := min(in.Offset, size)
	return n.data[from : from+min(uint64(in.Size), size-from)], 0
}

// readdir lists `.`, `..` and the files. The offset of an entry is the index of the next
// one.
func (e *engine) readdir(body []byte) ([]byte, unix.Errno) {
	var in readIn
	if _, ok := decode(body, &in); !ok {
		return nil, unix.EPROTO
	}
	names := []string{".", ".."}
	inos := []uint64{rootNode, rootNode}
	for _, n := range e.nodes[1:] {
		names, inos = append(names, n.name), append(inos, n.attr.Ino)
	}
	var out []byte
	for i := in.Offset; i < uint64(len(names)); i++ {
		next := appendDirent(out, inos[i], i+1, names[i])
		if len(next) > int(in.Size) {
			break
		}
		out = next
	}
	return out, 0
}

func appendDirent(b []byte, ino, off uint64, name string) []byte {
	b = encode(b, direntHeader{Ino: ino, Off: off, Namelen: uint32(len(name))})
	b = append(b, name...)
	return append(b, make([]byte, (8-len(name)%8)%8)...)
}

// Opcode is the kind of a request of the kernel, as fuse.h numbers them.
type Opcode uint32

// The opcodes that the server answers, and those that tests name.
const (
	OpLookup      Opcode = 1
	OpForget      Opcode = 2
	OpGetattr     Opcode = 3
	OpOpen        Opcode = 14
	OpRead        Opcode = 15
	OpStatfs      Opcode = 17
	OpRelease     Opcode = 18
	OpFlush       Opcode = 25
	OpInit        Opcode = 26
	OpOpendir     Opcode = 27
	OpReaddir     Opcode = 28
	OpReleasedir  Opcode = 29
	OpAccess      Opcode = 34
	OpInterrupt   Opcode = 36
	OpDestroy     Opcode = 38
	OpPoll        Opcode = 40
	OpBatchForget Opcode = 42
)

var opcodeNames = map[Opcode]string{
	OpLookup: "LOOKUP", OpForget: "FORGET", OpGetattr: "GETATTR",
	OpOpen: "OPEN", OpRead: "READ", OpStatfs: "STATFS",
	OpRelease: "RELEASE", OpFlush: "FLUSH", OpInit: "INIT",
	OpOpendir: "OPENDIR", OpReaddir: "READDIR", OpReleasedir: "RELEASEDIR",
	OpAccess: "ACCESS", OpInterrupt: "INTERRUPT", OpDestroy: "DESTROY", OpPoll: "POLL",
	OpBatchForget: "BATCH_FORGET",
}

// String returns the opcode's name in fuse.h, or its number.
func (o Opcode) String() string {
	if name, ok := opcodeNames[o]; ok {
		return name
	}
	return "opcode " + strconv.FormatUint(uint64(o), 10)
}

// isHousekeeping reports whether a request is caused by a mount, an unmount or the cache,
// and not by an access.
func (o Opcode) isHousekeeping() bool {
	switch o {
	case OpInit, OpDestroy, OpForget, OpBatchForget, OpInterrupt:
		return true
	}
	return false
}

// Tree is what a [Server] serves: one directory with regular files in it, or
// one regular file. It must not be changed while a server uses it.
type Tree struct {
	// Files are the root directory's entries, by name.
	Files map[string][]byte
	// FileRoot, when not nil, makes the root a regular file with this
	// content, for a mount on a regular file. Files is ignored then.
	FileRoot []byte
	// Lies replaces the attributes that the server reports, by name; the empty name is the
	// root. A hostile daemon can report anything.
	Lies map[string]Attr
}

// Attr are the attributes that a server can replace. A Mode, Size or Ino of zero means
// the true one; ids and the device number are zero otherwise.
type Attr struct {
	Mode     uint32 // whole st_mode, with the file type
	UID, GID uint32
	Rdev     uint32
	Size     uint64
	Ino      uint64
}

// node is a file of a tree; its number is its index in the table plus one.
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
