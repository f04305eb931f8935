package packages

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// unpackSource unpacks the tarball of a release, and returns where.
func unpackSource(t *testing.T) string {
	t.Helper()
	tarball := os.Getenv("FUSERMOUNT_DIST")
	if tarball == "" {
		fusetest.Skip(t, "run 'make test-packages': it builds from a source tarball")
	}
	base := t.TempDir()
	output(t, "tar", "-xzf", tarball, "-C", base, "--strip-components=1")
	return base
}

// buildSource runs "make build" in the source of a tarball, without a network or git.
func buildSource(t *testing.T, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("make", append([]string{"--no-print-directory", "-C", dir, "build"}, args...)...)
	cmd.Env = append(os.Environ(), append([]string{"GOPROXY=off", "GOFLAGS=-mod=vendor", "MAKEFLAGS="}, env...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The settings of a build that the README of packaging promises.
func TestBuildSettings(t *testing.T) {
	base := unpackSource(t)
	built := func(name string) string { return filepath.Join(base, "build", name) }
	version := strings.TrimSpace(string(file(t, base, "VERSION")))

	// A C compiler's LDFLAGS in the environment, as debhelper and others set them.
	if out, err := buildSource(t, base, []string{"LDFLAGS=-Wl,-z,relro", "CFLAGS=-O2"}); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := output(t, built("fusectl"), "-V"); got != "fusectl "+version+"\n" {
		t.Errorf("the version of a release's tarball: %q", got)
	}
	if symbols(t, built("fusermount3")) {
		t.Error("it is not stripped")
	}

	out, err := buildSource(t, base, []string{"GO_LDFLAGS=-X main.other=1"}, "VERSION=9.8.7", "SYSCONFDIR=/opt/etc/", "SYMBOLS=1", "LDFLAGS=-X main.another=1")
	if err != nil || strings.Count(out, "-X main.other=1 -X main.another=1") != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	if got := output(t, built("fusermount3"), "-V"); !strings.HasSuffix(got, " (go-fusermount 9_8_7)\n") {
		t.Errorf("with VERSION=9.8.7: %q", got)
	}
	if !symbols(t, built("fusermount3")) {
		t.Error("with SYMBOLS=1 it is stripped")
	}
	for _, name := range []string{"fusermount3", "fusectl", "fusermountd"} {
		if !bytes.Contains(file(t, base, "build", name), []byte("/opt/etc/fuse.conf")) {
			t.Errorf("%s does not read /opt/etc/fuse.conf", name)
		}
	}
	if got, _ := exec.Command(built("fusectl"), "check").Output(); !bytes.Contains(got, []byte(" /opt/etc/fuse.conf is absent: ")) {
		t.Errorf("with SYSCONFDIR=/opt/etc: %s", got)
	}
	if got := string(file(t, base, "build/sysconfdir")); got != "/opt/etc\n" {
		t.Errorf("build/sysconfdir has %q", got)
	}
}

// A build that would make a dynamic linker run as root is refused, and its helper is gone.
func TestBuildRefuses(t *testing.T) {
	base := unpackSource(t)
	for _, c := range []struct {
		flags string
		args  []string
		want  string
	}{
		{flags: "-mod=vendor -buildmode=pie", want: "needs an interpreter"},
		{flags: "-mod=vendor", args: []string{"SYSCONFDIR=etc"}, want: "SYSCONFDIR is an absolute path"},
		{flags: "-mod=vendor", args: []string{"SYSCONFDIR=/it's"}, want: "SYSCONFDIR is an absolute path"},
	} {
		out, err := buildSource(t, base, []string{"GOFLAGS=" + c.flags}, c.args...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s %q: %v, %s; want %q", c.flags, c.args, err, out, c.want)
		}
		if _, err := os.Stat(filepath.Join(base, "build/fusermount3")); err == nil {
			t.Errorf("%s %q: there is a helper", c.flags, c.args)
		}
	}
}

func symbols(t *testing.T, program string) bool {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Section(".symtab") != nil && f.Section(".debug_info") != nil
}

func file(t *testing.T, name ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(name...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
