package packages

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// newSystem makes the staging a PREFIX on the system itself, with an empty DESTDIR.
// Its /etc is the tests' own, and no package manager knows a file of it.
func newSystem(t *testing.T) (s *staging, variables []string) {
	t.Helper()
	fusetest.NeedRoot(t)
	s = newStaging(t)
	t.Cleanup(func() {
		if err := errors.Join(os.RemoveAll("/etc/fuse.conf"), os.RemoveAll("/etc/apparmor.d")); err != nil {
			t.Error(err)
		}
	})
	var none []tool
	for _, manager := range managers("") {
		none = append(none, manager)
	}
	return s, []string{"MODE=setuid", "DESTDIR=", "PREFIX=" + s.dir + "/usr", s.path(t, none...)}
}

// Uninstall removes what was installed, and nothing else.
func TestUninstallFolders(t *testing.T) {
	s, variables := newSystem(t)
	before := []string{"", "usr", "usr/share", "usr/share/man"}
	if err := os.MkdirAll(filepath.Join(s.dir, "usr/share/man"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.run(t, "install", variables...)
	s.run(t, "install", variables...) // which makes no more
	if _, err := os.Stat("/etc/apparmor.d"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a profile where there is no AppArmor: %v", err)
	}
	s.write(t, "usr/lib/udev/rules.d/another.rules", "")
	s.run(t, "uninstall", variables...)
	s.wantFolders(t, append(before, "usr/lib", "usr/lib/udev", "usr/lib/udev/rules.d")...)
	if _, err := os.Stat("/etc/fuse.conf"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("fuse.conf: %v", err)
	}
}

func (s *staging) wantFolders(t *testing.T, want ...string) {
	t.Helper()
	got, all := map[string]string{}, map[string]string{}
	for _, name := range want {
		all[filepath.Join(s.dir, name)] = "dir"
	}
	out, err := exec.Command("find", s.dir, "-type", "d").Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.Lines(string(out)) {
		got[strings.TrimSuffix(name, "\n")] = "dir"
	}
	compare(t, "the system", got, all)
}

// On a machine with AppArmor, the profile is loaded.
func TestInstallAppArmor(t *testing.T) {
	s, variables := newSystem(t)
	if err := os.Mkdir("/etc/apparmor.d", 0o755); err != nil {
		t.Fatal(err)
	}
	s.run(t, "install", variables...)
	if _, err := os.Stat("/etc/apparmor.d/fusermount3"); err != nil {
		t.Error(err)
	}
	s.run(t, "uninstall", variables...)
	if left, err := os.ReadDir("/etc/apparmor.d"); err != nil || len(left) > 0 {
		t.Errorf("it has %v (%v)", left, err)
	}
}

// managers are the package managers, where each knows one file of fuse3.
func managers(file string) map[string]tool {
	return map[string]tool{
		"dpkg":   {"dpkg-query", `[ "$2" = "` + file + `" ] && echo "fuse3:amd64: $2"`},
		"rpm":    {"rpm", `[ "$5" = "` + file + `" ] && echo fuse3 || { echo "file $5 is not owned by any package"; exit 1; }`},
		"apk":    {"apk", `[ "$4" = "` + file + `" ] && echo fuse3`},
		"pacman": {"pacman", `[ "$4" = "` + file + `" ] && echo fuse3`},
	}
}

// The files of packages are neither replaced nor removed.
func TestInstallOverPackage(t *testing.T) {
	for _, name := range []string{"usr/bin/fusermount3", "usr/bin/fusermount", "usr/share/man/man1/fusermount3.1"} {
		for manager := range managers("") {
			t.Run(manager+" "+name, func(t *testing.T) {
				s, variables := newSystem(t)
				s.write(t, name, "theirs\n")
				variables = append(variables, s.path(t, managers(filepath.Join(s.dir, name))[manager]))
				out, err := s.command("install", variables...).CombinedOutput()
				if err == nil || !strings.Contains(string(out), "/"+name+" belongs to the package fuse3") || !strings.Contains(string(out), "use PREFIX=/usr/local") {
					t.Errorf("%v: %s", err, out)
				}
				s.want(t, map[string]string{name: "0644"})
			})
		}
	}
}

// An installation over the helper of a package is not removed: the package's helper would
// be gone.
func TestUninstallPackage(t *testing.T) {
	s, variables := newSystem(t)
	s.run(t, "install", variables...)
	before := s.list(t)
	out, err := s.command("uninstall", append(variables, s.path(t, managers(s.program())["dpkg"]))...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "reinstall that package") {
		t.Errorf("%v: %s", err, out)
	}
	s.want(t, before)

	manual := filepath.Join(s.dir, "usr/share/man/man1/fusermount3.1") // came with a package later
	output := s.run(t, "uninstall", append(variables, s.path(t, managers(manual)["dpkg"]))...)
	if !strings.Contains(output, manual+" belongs to the package fuse3, and stays") {
		t.Errorf("it says %q", output)
	}
	s.want(t, map[string]string{"usr/share/man/man1/fusermount3.1": "0644"})
}

// A package has no file in a place from which the administrator has diverted it.
func TestInstallOverDiversion(t *testing.T) {
	s, variables := newSystem(t)
	s.write(t, "usr/bin/fusermount3", "an older one\n")
	diverted := tool{"dpkg-divert", `[ "$1" = --listpackage ] && echo LOCAL`}
	s.run(t, "install", append(variables, s.path(t, managers(s.program())["dpkg"], diverted))...)
	wantPrivileged(t, s.program())
}

// program is the start of a program with program headers of these types.
func program(class byte, order binary.AppendByteOrder, types ...uint32) []byte {
	data := map[binary.AppendByteOrder]byte{binary.LittleEndian: 1, binary.BigEndian: 2}
	text := append([]byte{0x7f, 'E', 'L', 'F', class, data[order], 1}, make([]byte, 9)...)
	text = append(text, make([]byte, 12)...) // type, machine, version, and the entry's first half
	var size int
	if class == 1 {
		size = 32
		text = order.AppendUint32(text, 52) // where program headers are
		text = append(text, make([]byte, 10)...)
	} else {
		size = 56
		text = append(text, make([]byte, 4)...)
		text = order.AppendUint64(text, 64)
		text = append(text, make([]byte, 14)...)
	}
	text = order.AppendUint16(text, uint16(size))
	text = order.AppendUint16(text, uint16(len(types)))
	text = append(text, make([]byte, 6)...)
	for _, number := range types {
		text = append(order.AppendUint32(text, number), make([]byte, size-4)...)
	}
	return text
}

// The helper must be a program without an interpreter, of whatever architecture.
func TestInstallRefusesHelper(t *testing.T) {
	const load, interp = 1, 3
	interpreter := "needs an interpreter (dynamic linker): build it with CGO_ENABLED=0"
	for _, c := range []struct {
		name string
		text []byte
		want string // empty: it installs
	}{
		{"empty", nil, "is no ELF program"},
		{"script", []byte("#!/bin/sh\n"), "is no ELF program"},
		{"class", program(3, binary.LittleEndian, load), "is no ELF program"},
		{"no headers", program(2, binary.LittleEndian), "has no program headers"},
		{"cut", program(2, binary.LittleEndian, load, load)[:64+56+3], "is incomplete or damaged"},
		{"cut in the header", program(2, binary.LittleEndian, load)[:40], "is incomplete or damaged"},
		{"64 little", program(2, binary.LittleEndian, load, load), ""},
		{"64 big", program(2, binary.BigEndian, load, load), ""},
		{"32 little", program(1, binary.LittleEndian, load, load), ""},
		{"32 big", program(1, binary.BigEndian, load, load), ""},
		{"interpreter 64 little", program(2, binary.LittleEndian, load, interp, load), interpreter},
		{"interpreter 64 big", program(2, binary.BigEndian, interp, load), interpreter},
		{"interpreter 32 little", program(1, binary.LittleEndian, load, interp), interpreter},
		{"interpreter 32 big", program(1, binary.BigEndian, load, interp), interpreter},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStaging(t)
			s.helper = filepath.Join(filepath.Dir(s.dir), "helper")
			if err := os.WriteFile(s.helper, c.text, 0o755); err != nil {
				t.Fatal(err)
			}
			if c.want != "" {
				s.refuse(t, c.want, "install", "MODE=setuid")
				return
			}
			s.run(t, "install", "MODE=setuid")
			s.want(t, installed)
			if !bytes.Equal([]byte(s.read(t, "usr/bin/fusermount3")), c.text) {
				t.Error("it became another one")
			}
		})
	}
	s := newStaging(t)
	s.helper = filepath.Join(s.dir, "absent")
	s.refuse(t, "is not there", "install", "MODE=setuid")
}
