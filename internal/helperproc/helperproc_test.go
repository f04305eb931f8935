//go:build linux

package helperproc

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseerr"
)

func TestClassify(t *testing.T) {
	for message, kinds := range map[string][]error{
		"mount failed: Operation not permitted":                                 {unix.EPERM, fs.ErrPermission},
		"failed to access mountpoint /mnt: Transport endpoint is not connected": {unix.ENOTCONN, fuseerr.ErrStale},
		"failed to unmount /mnt: Device or resource busy":                       {unix.EBUSY},
		"failed to unmount /a: b lies inside":                                   {unix.EPERM},
		"entry for /mnt not found in /etc/mtab":                                 {fuseerr.ErrNotMounted},
		"mounting over filesystem type 0x01021994 is forbidden":                 {fuseerr.ErrForbiddenMountpoint},
		"unknown option 'x'":                                                    {fuseerr.ErrUnknownOption, unix.EINVAL},
	} {
		err := classify([]string{"failed to open /etc/fuse.conf: Permission denied", message, "hint: do something"})
		if err == nil || err.Error() != message {
			t.Errorf("%q, want %q", err, message)
		}
		for _, kind := range kinds {
			if !errors.Is(err, kind) {
				t.Errorf("%q is not %q", err, kind)
			}
		}
	}
	if err := classify([]string{"hint: alone"}); err != nil {
		t.Errorf("only a hint: %v", err)
	}
	if err := classify([]string{"one", "hint: x", "two"}); err == nil || err.Error() != "one; two" {
		t.Errorf("unknown messages: %v", err)
	}
}

// The text of an error is bounded, whatever a helper writes, and its end counts.
func TestClassifyBounded(t *testing.T) {
	err := classify([]string{strings.Repeat("ä", 1<<15), "the end"})
	if err == nil || len(err.Error()) > maxText+len("... ") || !strings.HasSuffix(err.Error(), "the end") || strings.ContainsRune(err.Error(), '\uFFFD') {
		t.Errorf("%d bytes: %.50q", len(err.Error()), err)
	}
}

func TestMessages(t *testing.T) {
	o := newOutput(-1, "/opt/wrapper")
	o.keep([]byte("/opt/wrapper: a\nwrapper: b\n\nfusermount3: c\n/usr/bin/fusermount: d\nother: e\nf"))
	if got, want := o.messages(), []string{"a", "b", "c", "d", "other: e", "f"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for range 100 {
		o.keep(make([]byte, 4096))
	}
	if len(o.kept) > 2*maxKept {
		t.Errorf("%d bytes kept", len(o.kept))
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", "relative:"+dir)
	_, err := Find(t.Context(), "absent")
	var notFound *NotFoundError
	if !errors.As(err, &notFound) || !slices.Equal(notFound.Searched, []string{filepath.Join(dir, "absent")}) {
		t.Errorf("%v: %+v", err, notFound)
	}
}

// A program that is there and cannot be started is no fs.ErrNotExist, which is what a
// missing mountpoint is.
func TestStartNotFound(t *testing.T) {
	_, err := Start(t.Context(), filepath.Join(t.TempDir(), "absent"))
	if !errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
