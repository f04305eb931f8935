// Package helpertest calls the helper under test as a FUSE library does, with any ids,
// limits, descriptors and failing system calls, and can stop, fail or kill it at each
// system call that it makes. The suites conformance, races, faults, fuzzcmd and soak
// share it.
package helpertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// The users. Neither has a name or privileges.
const (
	Alice = 4242 // calls the helper
	Bob   = 4343 // has what Alice must not change
)

// The system calls whose absence makes the helper use mount(2), and the mount table
// as text.
var (
	NoFsopen    = Deny(unix.ENOSYS, "fsopen")
	NoStatmount = Deny(unix.ENOSYS, "statmount", "listmount")
)

// Program returns the helper under test, as make built it.
func Program(t testing.TB) string {
	t.Helper()
	program := os.Getenv("FUSERMOUNT_HELPER")
	if program == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER to the helper, as 'make test' does")
	}
	return program
}

// Install installs the helper under test set-uid root, for a test that calls it as
// an ordinary user.
func Install(t testing.TB) (path string) {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	return fusetest.InstallHelper(t, Program(t), fusetest.Setuid)
}

// Must fails the test if there is an error.
func Must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Start starts a call, which ends with the test.
func Start(t testing.TB, call Call) *Proc {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	t.Cleanup(cancel)
	p, err := call.Start(ctx)
	Must(t, err)
	return p
}

// Run runs a call to its end. The device that it gives is closed with the test.
func Run(t testing.TB, call Call) Result {
	t.Helper()
	result := RunWithin(t.Context(), call)
	Must(t, result.Err)
	if result.Dev != nil {
		t.Cleanup(func() { _ = result.Dev.Close() }) // a server may have closed it
	}
	return result
}

// RunWithin runs a call, for as long as a test may wait.
func RunWithin(ctx context.Context, call Call) Result {
	ctx, cancel := context.WithTimeout(ctx, fusetest.Patience)
	defer cancel()
	return call.Run(ctx)
}

// Mount mounts a file system that is not the helper's.
func Mount(dir, fstype string, flags uintptr, data string) error {
	if err := unix.Mount("other", dir, fstype, flags, data); err != nil {
		return &os.PathError{Op: "mount", Path: dir, Err: err}
	}
	return nil
}

// MountUnserved mounts a FUSE file system of a user without a daemon. It is dead once
// the caller closes the device.
func MountUnserved(dir string, uid int) (*os.File, error) {
	dev, err := fusetest.OpenDevice()
	if err != nil {
		return nil, err
	}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", dev.Fd(), uid, uid)
	if err := Mount(dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return dev, nil
}

// IsFUSEOf tells whether a mount is a FUSE file system of this user.
func IsFUSEOf(l fusetest.Line, uid int) bool {
	kind, _, _ := strings.Cut(l.FSType, ".")
	return kind == "fuse" && l.HasOption(fmt.Sprintf("user_id=%d", uid))
}

// ReadFile returns a file's text.
func ReadFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	Must(t, err)
	return string(text)
}

// Descriptors returns what the descriptors of a process are open on. One that is
// closed meanwhile, as that of this reading, is left out.
func Descriptors(t testing.TB, pid int) (targets []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, err := os.ReadDir(dir)
	Must(t, err)
	for _, name := range names {
		if target, err := os.Readlink(filepath.Join(dir, name.Name())); err == nil {
			targets = append(targets, target)
		}
	}
	return targets
}

// PrivateMemory returns the memory that a process does not share, in kB.
func PrivateMemory(t testing.TB, pid int) (sum int) {
	t.Helper()
	for line := range strings.Lines(ReadFile(t, fmt.Sprintf("/proc/%d/smaps_rollup", pid))) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[0], "Private_") {
			kb, err := strconv.Atoi(f[1])
			Must(t, err)
			sum += kb
		}
	}
	return sum
}
