package mount

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Device is an opened fuse device.
type Device struct {
	path string
	fd   int
}

// Path is what was opened.
func (d *Device) Path() string { return d.path }

// FD is the descriptor to hand over; it stays the Device's.
func (d *Device) FD() int { return d.fd }

// DeviceError says that the device cannot be had.
type DeviceError struct {
	Path  string
	Errno error
	// Loaded says that the kernel has loaded the module for this very call, and
	// that some time was given to the system to open the device.
	Loaded bool
}

func (e *DeviceError) Error() string {
	if e.Absent() {
		return "fuse device " + e.Path + " not found. Kernel module not loaded?"
	}
	return "failed to open " + e.Path + ": " + Strerror(e.Errno)
}

func (e *DeviceError) Unwrap() error { return e.Errno }

// Hint says what the caller can do.
func (e *DeviceError) Hint() string {
	switch known, err := KnowsFS("fuse"); {
	case e.Absent() && err != nil:
		return "the device is not there; whether the kernel has FUSE shows when /proc is mounted"
	case e.Absent() && !known:
		return "this kernel has no FUSE: the module fuse is not built, or loading modules is disabled; " +
			"'modprobe fuse', as root, says which"
	case e.Absent():
		return "the kernel has FUSE, but this environment lacks the device: a container needs --device " + e.Path
	case e.Loaded:
		return "the module fuse was loaded just now, and nothing has opened its device to you: " +
			"a rule for udev or systemd-tmpfiles does that at each start (mode 0666), or 'chmod 0666 " + e.Path + "' for now"
	case errors.Is(e.Errno, unix.EACCES):
		return e.Path + " is closed to you: it is usually open to everybody (mode 0666), " +
			"or to a group that you would have to be in; see 'ls -l " + e.Path + "'"
	case errors.Is(e.Errno, unix.EPERM):
		return "a device cgroup forbids " + e.Path + " here: a container needs --device " + e.Path
	}
	return ""
}

// Absent says that the device or its driver is not there.
func (e *DeviceError) Absent() bool {
	return errors.Is(e.Errno, unix.ENOENT) || errors.Is(e.Errno, unix.ENODEV) || errors.Is(e.Errno, unix.ENXIO)
}

// OpenDevice opens the fuse device with the rights of the caller. Where it, or
// the driver behind it, is absent and the kernel does not list the file
// system, the kernel is asked once to load its module.
func OpenDevice(path string) (*Device, error) {
	d, err := openDevice(path)
	var failed *DeviceError
	if !errors.As(err, &failed) || !failed.Absent() || listed("fuse") {
		return d, err
	}
	loadModule()
	d, err = openDevice(path)
	loaded := listed("fuse")
	for tries := 0; loaded && notYetOpen(err) && tries < patience/pause; tries++ {
		// A signal shortens the pause, and nothing else.
		_ = unix.Nanosleep(&unix.Timespec{Nsec: pause}, nil)
		d, err = openDevice(path)
	}
	if errors.As(err, &failed) {
		failed.Loaded = loaded
	}
	return d, err
}

// How long the rules of the system (udev) may take to open a new device to its
// users, and how often it is tried, in nanoseconds.
const (
	patience = 1_000_000_000
	pause    = 20_000_000
)

// notYetOpen says of an error right after the module was loaded whether the
// device may still be on its way: the kernel makes it for root alone.
func notYetOpen(err error) bool {
	var failed *DeviceError
	return errors.As(err, &failed) && (failed.Absent() || errors.Is(failed.Errno, unix.EACCES))
}

func openDevice(path string) (*Device, error) {
	fd, err := fusedev.Open(path)
	if err != nil {
		return nil, &DeviceError{Path: path, Errno: err}
	}
	return &Device{path: path, fd: fd}, nil
}

// loadModule has the kernel load the fuse module: opening a context of a file
// system type that it does not know makes it call its own module loader. This
// program never runs one. Whether it worked shows in the next open.
func loadModule() {
	if fd, err := fsopen("fuse"); err == nil {
		_ = unix.Close(fd)
	}
}

// listed takes what cannot be told for no: to load a module that is there does no
// harm.
func listed(name string) bool {
	known, err := KnowsFS(name)
	return err == nil && known
}

// KnowsFS says whether the kernel lists a file system type, or why that cannot
// be told.
func KnowsFS(name string) (bool, error) {
	text, err := rawfile.Text("/proc/filesystems")
	if err != nil {
		return false, err
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasSuffix(line, "\t"+name) {
			return true, nil
		}
	}
	return false, nil
}
