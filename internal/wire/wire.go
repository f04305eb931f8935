// Package wire is the messages between the mount service and its clients, on a socket of
// type SOCK_SEQPACKET. docs/protocol.md describes them. It is pure.
//
// A message is one packet: numbers are little-endian, and a text is its length and its
// bytes. There is exactly one way to write each value, and what is written otherwise, too
// long, or followed by anything is an error.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Version is the protocol's. The service says which one it speaks, and a client that does
// not know it ends.
const Version = 1

// Limits in bytes.
const (
	MaxName = 255  // NAME_MAX, and the longest source and subtype that fsconfig(2) takes
	MaxPath = 4095 // PATH_MAX without its NUL
	MaxText = 8191 // of a reply: a message may quote a path and a source
	// MaxNotices is how many notices a reply may have.
	MaxNotices = 32
	// MaxMessage is the longest message, and one more byte, by which a longer one shows.
	MaxMessage = 64 + MaxName*3 + MaxPath + 1
	// MaxReply is the same of a reply.
	MaxReply = 64 + (MaxNotices+2)*(MaxText+2) + 1
)

var magic = [4]byte{'f', 'm', 's', 'd'}

// Nonce names the file by which a client proves that it may write to its mountpoint.
type Nonce [16]byte

// Name is the file's name.
func (n Nonce) Name() string { return fmt.Sprintf(".fuse-%x", n[:]) }

// Hello is the service's first message.
type Hello struct {
	Version uint16
	Nonce   Nonce
}

// Op is what a request asks for.
type Op uint8

// The operations.
const (
	Mount   Op = 1
	Unmount Op = 2
	// Watch unmounts what another program has mounted, when its daemon has died.
	Watch Op = 3
)

// Flags are the options without a value. There are none for suid and dev.
type Flags uint32

// The flags of a mount, and Lazy, which is that of an unmount.
const (
	ReadOnly Flags = 1 << iota
	NoExec
	Sync
	DirSync
	NoAtime
	NoDirAtime
	NoSymfollow
	AllowOther
	DefaultPermissions
	AutoUnmount
	HasMaxRead
	HasBlockSize
	SyncInit
	Lazy

	all     = Lazy<<1 - 1
	ofMount = all &^ Lazy
)

// options are the flags that are mount options.
var options = []struct {
	flag  Flags
	field func(*mountopts.Options) *bool
}{
	{ReadOnly, func(o *mountopts.Options) *bool { return &o.ReadOnly }},
	{NoExec, func(o *mountopts.Options) *bool { return &o.NoExec }},
	{Sync, func(o *mountopts.Options) *bool { return &o.Sync }},
	{DirSync, func(o *mountopts.Options) *bool { return &o.DirSync }},
	{NoAtime, func(o *mountopts.Options) *bool { return &o.NoAtime }},
	{NoDirAtime, func(o *mountopts.Options) *bool { return &o.NoDirAtime }},
	{NoSymfollow, func(o *mountopts.Options) *bool { return &o.NoSymfollow }},
	{AllowOther, func(o *mountopts.Options) *bool { return &o.AllowOther }},
	{DefaultPermissions, func(o *mountopts.Options) *bool { return &o.DefaultPermissions }},
	{AutoUnmount, func(o *mountopts.Options) *bool { return &o.AutoUnmount }},
	{HasMaxRead, func(o *mountopts.Options) *bool { return &o.MaxRead.Given }},
	{HasBlockSize, func(o *mountopts.Options) *bool { return &o.BlkSize.Given }},
}

// SetOptions writes o into the request. What a request cannot say is left out: suid, dev, blkdev,
// allow_root and the x-* options.
func (r *Request) SetOptions(o mountopts.Options) {
	for _, option := range options {
		if *option.field(&o) {
			r.Flags |= option.flag
		}
	}
	r.MaxRead, r.BlockSize, r.Source, r.Subtype = o.MaxRead.Value, o.BlkSize.Value, o.FSName, o.Subtype
}

// Options gives what SetOptions has written.
func (r *Request) Options() (o mountopts.Options) {
	for _, option := range options {
		*option.field(&o) = r.Flags&option.flag != 0
	}
	o.MaxRead.Value, o.BlkSize.Value, o.FSName, o.Subtype = r.MaxRead, r.BlockSize, r.Source, r.Subtype
	return o
}

// Request is the client's message. With it come descriptors: the directory in which the
// mountpoint lies (O_PATH); for Mount and Watch the socket on which a FUSE program waits; and
// for Mount over a file a writable descriptor of that file.
type Request struct {
	Op    Op
	Flags Flags
	// Name is the mountpoint's name in its parent. Path is for messages and the log only.
	Name, Path string

	// The rest is of Mount. Numbers are bytes, and 0 where the flag is not set.
	MaxRead, BlockSize uint32
	Source, Subtype    string
}

// Reply is the service's answer. A successful mount comes with the device.
type Reply struct {
	Errno   uint32   // 0: done
	Text    string   // what is wrong; empty if it is done
	Hint    string   // what the client can do, or empty
	Notices []string // in any case
}

// ErrMalformed is of every error of the parse functions.
var ErrMalformed = errors.New("malformed message")

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// Append writes h.
func (h Hello) Append(b []byte) []byte {
	b = append(b, magic[:]...)
	return append(binary.LittleEndian.AppendUint16(b, h.Version), h.Nonce[:]...)
}

// ParseHello reads a Hello of any version.
func ParseHello(message []byte) (h Hello, err error) {
	p := parser{rest: message}
	p.magic()
	h.Version = p.number16()
	copy(h.Nonce[:], p.take(len(h.Nonce)))
	if h.Version == Version {
		p.end()
	}
	return h, p.err
}

// Append writes r, which Check has found correct.
func (r *Request) Append(b []byte) []byte {
	b = append(b, magic[:]...)
	b = binary.LittleEndian.AppendUint16(b, Version)
	b = append(b, byte(r.Op), 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Flags))
	b = appendText(appendText(b, r.Name), r.Path)
	if r.Op != Mount {
		return b
	}
	b = binary.LittleEndian.AppendUint32(b, r.MaxRead)
	b = binary.LittleEndian.AppendUint32(b, r.BlockSize)
	return appendText(appendText(b, r.Source), r.Subtype)
}

// ParseRequest reads a Request, and checks it.
func ParseRequest(message []byte) (r Request, err error) {
	p := parser{rest: message}
	p.magic()
	if version := p.number16(); p.err == nil && version != Version {
		return r, malformed(fmt.Sprintf("version %d, and this is version %d", version, Version))
	}
	r.Op = Op(p.number8())
	if zero := p.number8(); zero != 0 {
		p.fail("a byte that is not zero")
	}
	r.Flags = Flags(p.number32())
	r.Name, r.Path = p.text(MaxName), p.text(MaxPath)
	if r.Op == Mount {
		r.MaxRead, r.BlockSize = p.number32(), p.number32()
		r.Source, r.Subtype = p.text(MaxName), p.text(MaxName)
	}
	p.end()
	if p.err == nil {
		p.err = r.Check()
	}
	return r, p.err
}

// Descriptors gives how many descriptors come with r. One more may come with Mount, for a file.
func (r *Request) Descriptors() int {
	if r.Op == Unmount {
		return 1
	}
	return 2
}

// Check says whether r can be sent.
func (r *Request) Check() error {
	allowed, known := map[Op]Flags{Mount: ofMount, Unmount: Lazy, Watch: 0}[r.Op]
	switch {
	case !known:
		return malformed("an unknown operation")
	case r.Flags&^allowed != 0:
		return malformed("a flag that does not belong to the operation")
	case r.Flags&HasMaxRead == 0 && r.MaxRead != 0, r.Flags&HasBlockSize == 0 && r.BlockSize != 0:
		return malformed("a number without its flag")
	case r.Op != Mount && (r.MaxRead != 0 || r.BlockSize != 0 || r.Source != "" || r.Subtype != ""):
		return malformed("options of a mount")
	case r.Name == "" || r.Name == "." || r.Name == ".." || strings.Contains(r.Name, "/"):
		return malformed("the name of the mountpoint")
	case len(r.Name) > MaxName || len(r.Path) > MaxPath || len(r.Source) > MaxName || len(r.Subtype) > MaxName:
		return malformed("a text that is too long")
	case strings.Contains(r.Name+r.Path+r.Source+r.Subtype, "\x00"):
		return malformed("NUL in a text")
	}
	return nil
}

// Append writes r. Texts that are too long are cut, and notices that are too many left out.
func (r Reply) Append(b []byte) []byte {
	b = append(b, magic[:]...)
	b = binary.LittleEndian.AppendUint32(b, r.Errno)
	notices := r.Notices[:min(len(r.Notices), MaxNotices)]
	b = append(b, byte(len(notices)))
	for _, text := range append([]string{r.Text, r.Hint}, notices...) {
		b = appendText(b, text[:min(len(text), MaxText)])
	}
	return b
}

// ParseReply reads a Reply.
func ParseReply(message []byte) (r Reply, err error) {
	p := parser{rest: message}
	p.magic()
	r.Errno = p.number32()
	n := int(p.number8())
	if n > MaxNotices {
		p.fail("too many notices")
		n = 0
	}
	r.Text, r.Hint = p.text(MaxText), p.text(MaxText)
	for range n {
		r.Notices = append(r.Notices, p.text(MaxText))
	}
	p.end()
	if p.err == nil && (r.Errno == 0) != (r.Text == "") {
		p.err = malformed("an error without words, or words without one")
	}
	return r, p.err
}

func appendText(b []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(text))), text...)
}

// parser reads a message. After an error it reads zeros.
type parser struct {
	rest []byte
	err  error
}

func (p *parser) fail(what string) {
	if p.err == nil {
		p.err = malformed(what)
	}
	p.rest = nil
}

// take returns n bytes.
func (p *parser) take(n int) []byte {
	if p.err == nil && n <= len(p.rest) {
		taken := p.rest[:n]
		p.rest = p.rest[n:]
		return taken
	}
	p.fail("it is too short")
	return make([]byte, n)
}

func (p *parser) magic() {
	if string(p.take(len(magic))) != string(magic[:]) {
		p.fail("it is not of this protocol")
	}
}

func (p *parser) number8() uint8   { return p.take(1)[0] }
func (p *parser) number16() uint16 { return binary.LittleEndian.Uint16(p.take(2)) }
func (p *parser) number32() uint32 { return binary.LittleEndian.Uint32(p.take(4)) }

func (p *parser) text(longest int) string {
	n := int(p.number16())
	if n > longest {
		p.fail("a text that is too long")
		return ""
	}
	return string(p.take(n))
}

func (p *parser) end() {
	if len(p.rest) > 0 {
		p.fail("it is too long")
	}
}
