package mount

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// mountByCall mounts with mount(2), for kernels and confinements that know
// nothing else. Signals are held once it has mounted.
func mountByCall(t fsparam.Params, d *Device, at *Mountpoint, last func() error) error {
	target := pathfd.Link(at.fd)
	if at.facts.Kind == policy.Directory {
		// No /proc is needed for a directory: it becomes the current one.
		if err := unix.Fchdir(at.fd); err != nil {
			return &MountError{Errno: err}
		}
		target = "."
	}
	source := t.Source
	if err := at.ready(last); err != nil {
		return err
	}
	err := heldIfDone(func() error {
		err := mount(source, target, t.Type(), t.Flags(), t.Data(d.fd))
		if !errors.Is(err, unix.ENODEV) || t.Subtype == "" {
			return err
		}
		// A kernel without subtypes: the subtype goes into the source, unless it is
		// there already, where the caller named none.
		if source != t.Subtype {
			source = t.Subtype + "#" + source
		}
		return mount(source, target, t.Driver(), t.Flags(), t.Data(d.fd))
	})
	if err != nil {
		return &MountError{Errno: err}
	}
	return nil
}
