package kernel

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// DevicePath is the fuse device.
const DevicePath = "/dev/fuse"

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
}

func (e *DeviceError) Error() string {
	if e.Absent() {
		return "fuse device " + e.Path + " not found. Kernel module not loaded?"
	}
	return "failed to open " + e.Path + ": " + Strerror(e.Errno)
}

func (e *DeviceError) Unwrap() error { return e.Errno }

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
	if errors.As(err, &failed) && failed.Absent() && !KnowsFS("fuse") {
		loadModule()
		d, err = openDevice(path)
	}
	return d, err
}

func openDevice(path string) (*Device, error) {
	fd, err := rawfile.Open(path, unix.O_RDWR, 0)
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

// KnowsFS says whether the kernel lists a file system type.
func KnowsFS(name string) bool {
	text, err := rawfile.Text("/proc/filesystems")
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasSuffix(line, "\t"+name) {
			return true
		}
	}
	return false
}
