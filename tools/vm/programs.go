package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// libraryDirs are the directories of Debian's dynamic linker.
var libraryDirs = []string{"/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib", "/lib"}

// program copies a program of this machine, and its libraries.
func (img image) program(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	return img.binary(path, path)
}

// binary copies a program whose path here differs from that in the guest.
func (img image) binary(name, from string) error {
	if err := img.takeReal(name, from); err != nil {
		return err
	}
	return img.libraries(from)
}

// takeReal copies a file to name, all links to it resolved.
func (img image) takeReal(name, from string) error {
	target, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(target)
	if err != nil {
		return err
	}
	img.file(merged(name), text, 0o755)
	return nil
}

// merged returns a path in the image, where /bin and the like are links.
func merged(path string) string {
	path = strings.TrimPrefix(path, "/")
	for _, dir := range []string{"bin/", "sbin/", "lib/", "lib64/"} {
		if strings.HasPrefix(path, dir) {
			return "usr/" + path
		}
	}
	return path
}

// libraries copies the dynamic linker and the libraries of a program, and their
// libraries.
func (img image) libraries(from string) error {
	file, err := elf.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	names, err := file.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			text := make([]byte, p.Filesz)
			if _, err := p.ReadAt(text, 0); err != nil {
				return err
			}
			names = append(names, strings.TrimRight(string(text), "\x00"))
		}
	}
	for _, name := range names {
		path, err := findLibrary(name)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		if _, taken := img[merged(path)]; taken {
			continue
		}
		if err := img.binary(path, path); err != nil {
			return err
		}
	}
	return nil
}

func findLibrary(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range libraryDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("library %s: %w", name, fs.ErrNotExist)
}
