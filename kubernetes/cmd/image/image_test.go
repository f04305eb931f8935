package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// The same programs give the same bytes, whatever their times and modes, and a valid layout.
func TestReproducible(t *testing.T) {
	dir := t.TempDir()
	var images [][]byte
	for i, mode := range []os.FileMode{0o755, 0o700} {
		root := filepath.Join(dir, "root", string(rune('a'+i)))
		if err := os.MkdirAll(root, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"program", "another"} {
			path := filepath.Join(root, name)
			if err := os.WriteFile(path, []byte(name), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Unix(int64(i), 0), time.Unix(int64(i), 0)); err != nil {
				t.Fatal(err)
			}
		}
		out := filepath.Join(dir, "image")
		if err := write(out, "program:1", "/program", []string{"amd64=" + root, "arm64=" + root}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(out + ".tar")
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, text)
		index, err := layout.ImageIndexFromPath(out)
		if err == nil {
			err = validate.Index(index)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two images of the same programs differ")
	}
}

func TestImageRefused(t *testing.T) {
	for _, trees := range [][]string{nil, {"amd64"}, {"amd64=" + filepath.Join(t.TempDir(), "absent")}} {
		if err := write(filepath.Join(t.TempDir(), "image"), "a:1", "/a", trees); err == nil {
			t.Errorf("%q: no error", trees)
		}
	}
}
