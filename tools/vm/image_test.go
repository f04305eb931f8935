package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/cavaliergopher/cpio"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// An image unpacks in order: each directory comes before its contents, and the root is
// open to all users.
func TestImage(t *testing.T) {
	img := newImage()
	img.file("usr/share/deep/file", []byte("text"), 0o4755)
	img.link("usr/bin/link", "/init")
	if _, err := findLibrary("libc.so.6"); err != nil {
		fusetest.Skip(t, "run it on Debian for amd64, as 'make test-vm': "+err.Error())
	}
	if err := img.program("sh"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := img.write(path); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen, linked := map[string]cpio.FileMode{}, map[string]bool{}
	for r := cpio.NewReader(file); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if parent := seen[filepath.Dir(h.Name)]; h.Name != "." && parent&^cpio.ModePerm != cpio.TypeDir {
			t.Errorf("%s comes before its directory", h.Name)
		}
		seen[h.Name] = h.Mode
		linked[filepath.Base(h.Name)] = true
	}
	for name, want := range map[string]cpio.FileMode{
		".": cpio.TypeDir | 0o755, "usr/share/deep/file": cpio.TypeReg | 0o755, "usr/bin/link": cpio.TypeSymlink | 0o777,
		"usr/bin/sh": cpio.TypeReg | 0o755, "bin": cpio.TypeSymlink | 0o777,
	} {
		if seen[name] != want {
			t.Errorf("%s is %v, want %v", name, seen[name], want)
		}
	}
	if !linked["ld-linux-x86-64.so.2"] || !linked["libc.so.6"] {
		t.Error("sh came without its dynamic linker or its library")
	}
}
