package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/cavaliergopher/cpio"
)

// image is an initramfs: the files of the guest by path.
type image map[string]entry

type entry struct {
	mode cpio.FileMode // type and permissions
	data []byte        // text of a file, target of a link
}

// newImage returns the directories of a Linux system, with /bin and the like as links.
// Programs are copied to their real paths.
func newImage() image {
	img := image{}
	for _, dir := range []string{"etc", "proc", "sys", "dev", "run", "tmp", "root"} {
		img.dir(dir)
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		img.dir("usr/" + name)
		img.link(name, "usr/"+name)
	}
	return img
}

// dir makes a directory, and its parents. The root is one, too: without a mode for it, no
// user of the guest could resolve a path.
func (img image) dir(name string) {
	for ; ; name = path.Dir(name) {
		img[name] = entry{mode: cpio.TypeDir | 0o755}
		if name == "." {
			return
		}
	}
}

func (img image) link(name, target string) {
	img.dir(path.Dir(name))
	img[name] = entry{mode: cpio.TypeSymlink | 0o777, data: []byte(target)}
}

func (img image) file(name string, text []byte, perm fs.FileMode) {
	img.dir(path.Dir(name))
	img[name] = entry{mode: cpio.TypeReg | cpio.FileMode(perm.Perm()), data: text}
}

// copy takes a file of this machine, or a directory with all that is in it.
func (img image) copy(name, from string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil {
			return err
		}
		return img.add(path.Join(name, filepath.ToSlash(rel)), p, d)
	})
}

func (img image) add(name, from string, d fs.DirEntry) error {
	switch d.Type() {
	case fs.ModeDir:
		img.dir(name)
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		img.link(name, target)
	case 0:
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		img.file(name, text, info.Mode())
	default:
		return fmt.Errorf("%s is neither a file nor a directory", from)
	}
	return nil
}

// write writes the archive, directories before their contents. It does not compress:
// unpacking would cost the emulated machine more time than reading.
func (img image) write(to string) (err error) {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := cpio.NewWriter(out)
	for _, name := range slices.Sorted(maps.Keys(img)) {
		e := img[name]
		if err := w.WriteHeader(&cpio.Header{Name: name, Mode: e.mode, Size: int64(len(e.data)), Links: 1}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := w.Write(e.data); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return w.Close()
}
