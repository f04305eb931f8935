package wire

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

var requests = []Request{
	{Op: Unmount, Name: "mnt", Path: "/home/u/mnt"},
	{Op: Unmount, Name: "mnt", Flags: Lazy},
	{Op: Mount, Name: "mnt", Path: "/home/u/mnt"},
	{Op: Watch, Name: "mnt", Path: "/home/u/mnt"},
	{
		Op: Mount, Flags: ofMount, Name: strings.Repeat("n", MaxName), Path: strings.Repeat("p", MaxPath),
		MaxRead: 1<<32 - 1, BlockSize: 512, Source: strings.Repeat("s", MaxName), Subtype: strings.Repeat("t", MaxName),
	},
}

func TestRequest(t *testing.T) {
	for _, r := range requests {
		message := r.Append(nil)
		if len(message) >= MaxMessage {
			t.Errorf("%d bytes", len(message))
		}
		got, err := ParseRequest(message)
		if err != nil || got != r {
			t.Errorf("%+v: %+v, %v", r, got, err)
		}
		for n := range message {
			if _, err := ParseRequest(message[:n]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%d bytes of it: %v", n, err)
			}
		}
		if _, err := ParseRequest(append(message, 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("a byte more: %v", err)
		}
	}
}

func TestBadRequest(t *testing.T) {
	for what, change := range map[string]func(r *Request){
		"no operation":         func(r *Request) { r.Op = 0 },
		"unknown":              func(r *Request) { r.Op = 4 },
		"a number alone":       func(r *Request) { r.MaxRead = 1 },
		"another's flag":       func(r *Request) { r.Flags = Lazy },
		"unknown flag":         func(r *Request) { r.Flags = all + 1 },
		"options of a mount":   func(r *Request) { r.Op, r.Source = Unmount, "s" },
		"no name":              func(r *Request) { r.Name = "" },
		"dot":                  func(r *Request) { r.Name = "." },
		"dots":                 func(r *Request) { r.Name = ".." },
		"a path as name":       func(r *Request) { r.Name = "a/b" },
		"NUL in the name":      func(r *Request) { r.Name = "a\x00" },
		"NUL in the source":    func(r *Request) { r.Source = "\x00" },
		"a name too long":      func(r *Request) { r.Name = strings.Repeat("n", MaxName+1) },
		"a path too long":      func(r *Request) { r.Path = strings.Repeat("n", MaxPath+1) },
		"a source too long":    func(r *Request) { r.Source = strings.Repeat("n", MaxName+1) },
		"a subtype too long":   func(r *Request) { r.Subtype = strings.Repeat("n", MaxName+1) },
		"a subtype with a NUL": func(r *Request) { r.Subtype = "a\x00b" },
	} {
		r := Request{Op: Mount, Name: "mnt", Path: "/mnt"}
		change(&r)
		if err := r.Check(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
		if what == "options of a mount" { // they are not written
			continue
		}
		if _, err := ParseRequest(r.Append(nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, parsed: %v", what, err)
		}
	}
}

// A request says each option that it can, and no other.
func TestOptions(t *testing.T) {
	const list = "ro,noexec,sync,dirsync,noatime,nodiratime,nosymfollow,allow_other,default_permissions,auto_unmount," +
		"max_read=0,blksize=512,fsname=a,subtype=b"
	o, err := mountopts.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	var r Request
	r.SetOptions(o)
	if r.Flags != ofMount&^SyncInit || !reflect.DeepEqual(r.Options(), o) {
		t.Errorf("%+v: %+v", r, r.Options())
	}
	unsaid, err := mountopts.Parse("suid,dev,blkdev,allow_root,x-a")
	if err != nil {
		t.Fatal(err)
	}
	r = Request{}
	if r.SetOptions(unsaid); r != (Request{}) {
		t.Errorf("%+v", r)
	}
}

func TestHelloReply(t *testing.T) {
	h := Hello{Version: Version, Nonce: Nonce{1, 2, 255}}
	if got, err := ParseHello(h.Append(nil)); err != nil || got != h {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParseHello(append(Hello{Version: 9}.Append(nil), "news"...)); err != nil || got.Version != 9 {
		t.Errorf("of a later version: %+v, %v", got, err)
	}
	if name := h.Nonce.Name(); name != ".fuse-0102ff00000000000000000000000000" {
		t.Error(name)
	}
	for _, r := range []Reply{{}, {Notices: []string{"a", ""}}, {Errno: 16, Text: "busy", Hint: "wait"}} {
		if got, err := ParseReply(r.Append(nil)); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if r, err := ParseReply(Reply{Errno: 1, Text: strings.Repeat("x", MaxText+1)}.Append(nil)); err != nil || len(r.Text) != MaxText {
		t.Errorf("%d bytes, %v", len(r.Text), err)
	}
	long := Reply{Errno: 1, Text: "x", Notices: slices.Repeat([]string{strings.Repeat("n", MaxText+1)}, MaxNotices+1)}
	if message := long.Append(nil); len(message) >= MaxReply {
		t.Errorf("%d bytes", len(message))
	} else if r, err := ParseReply(message); err != nil || len(r.Notices) != MaxNotices {
		t.Errorf("%d notices, %v", len(r.Notices), err)
	}
	for _, r := range []Reply{{Errno: 1}, {Text: "x"}} {
		if _, err := ParseReply(r.Append(nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// What is read is written in one way alone.
func FuzzRequest(f *testing.F) {
	for _, r := range requests[:4] {
		f.Add(r.Append(nil))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := ParseRequest(message)
		if err == nil && !bytes.Equal(r.Append(nil), message) {
			t.Errorf("%+v is written otherwise", r)
		}
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
	})
}

func FuzzHelloReply(f *testing.F) {
	f.Add(Hello{Version: Version}.Append(nil))
	f.Add(Reply{Errno: 1, Text: "x"}.Append(nil))
	f.Fuzz(func(t *testing.T, message []byte) {
		if h, err := ParseHello(message); err == nil && h.Version == Version && !bytes.Equal(h.Append(nil), message) {
			t.Errorf("%+v is written otherwise", h)
		}
		if r, err := ParseReply(message); err == nil && !bytes.Equal(r.Append(nil), message) {
			t.Errorf("%+v is written otherwise", r)
		}
	})
}
