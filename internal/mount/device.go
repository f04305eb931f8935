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
	Path string
	FD   int // stays the Device's

	// context was made by fsopen(2) together with the device in another user namespace, to which
	// the file system is to belong; 0: none.
	context int
}

// NewDevice is an opened device with a context of fsopen(2), both of another user namespace. It takes
// over the descriptors.
func NewDevice(path string, fd, context int) *Device {
	return &Device{Path: path, FD: fd, context: context}
}

// openContext gives a context for a file system of this device.
func (d *Device) openContext(driver string) (fd int, err error) {
	if fd, d.context = d.context, 0; fd > 0 {
		return fd, nil
	}
	return fsopen(driver)
}

// DeviceError says that the device cannot be opened.
type DeviceError struct {
	Path  string
	Errno error
	// Loaded says that the kernel has loaded the module for this call, and that the
	// system had some time to open the device to its users.
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

// How long the rules of the system (udev) may take to open a new device to its users,
// and how often that is tried, in nanoseconds.
const (
	moduleWait  = 1_000_000_000
	modulePause = 20_000_000
)

// OpenDevice opens the fuse device with the privileges of the caller. Where it or its
// driver is absent, and the kernel does not list the file system, the kernel is asked
// once to load its module: the fsopen of an unknown type makes it call its own loader.
func OpenDevice(path string) (*Device, error) {
	listed := func() bool { // an error counts as no: loading a module twice does no harm
		known, err := KnowsFS("fuse")
		return err == nil && known
	}
	d, err := openDevice(path)
	var failed *DeviceError
	if !errors.As(err, &failed) || !failed.Absent() || listed() {
		return d, err
	}
	if fd, err := fsopen("fuse"); err == nil {
		_ = unix.Close(fd) // whether the module was loaded shows in the next open
	}
	d, err = openDevice(path)
	loaded := listed()
	for tries := 0; loaded && tries < moduleWait/modulePause; tries++ {
		// The kernel makes the device for root alone at first.
		if !errors.As(err, &failed) || !failed.Absent() && !errors.Is(failed.Errno, unix.EACCES) {
			break
		}
		_ = unix.Nanosleep(&unix.Timespec{Nsec: modulePause}, nil) // a signal may shorten it
		d, err = openDevice(path)
	}
	if errors.As(err, &failed) {
		failed.Loaded = loaded
	}
	return d, err
}

func openDevice(path string) (*Device, error) {
	fd, err := fusedev.Open(path)
	if err != nil {
		return nil, &DeviceError{Path: path, Errno: err}
	}
	return &Device{Path: path, FD: fd}, nil
}

// KnowsFS says whether the kernel lists a file system type.
func KnowsFS(name string) (bool, error) {
	text, err := rawfile.Text("/proc/filesystems")
	if err == nil && text == "" { // a sandbox shows an empty file
		err = errors.New("/proc/filesystems is empty")
	}
	if err != nil {
		return false, err
	}
	return strings.Contains(text, "\t"+name+"\n"), nil
}
