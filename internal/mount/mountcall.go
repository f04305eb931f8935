package mount

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/policy"
)

// mountByCall mounts with mount(2), for kernels and confinements that know
// nothing else. Signals are held once it has mounted.
func mountByCall(t policy.Terms, d *Device, at *Mountpoint, last func() error) error {
	target := procFD(at.fd)
	if at.facts.Kind == policy.Directory {
		// No /proc is needed for a directory: it becomes the current one.
		if err := unix.Fchdir(at.fd); err != nil {
			return &MountError{Errno: err}
		}
		target = "."
	}
	fstype, source := fsType(t), t.Source
	if t.Subtype != "" {
		fstype += "." + t.Subtype
	}
	if err := at.ready(last); err != nil {
		return err
	}
	err := heldIfDone(func() error {
		err := mount(source, target, fstype, callFlags(t), callData(t, d))
		if !errors.Is(err, unix.ENODEV) || t.Subtype == "" {
			return err
		}
		// A kernel without subtypes: the subtype goes into the source, unless it is
		// there already, where the caller named none.
		if source != t.Subtype {
			source = t.Subtype + "#" + source
		}
		return mount(source, target, fsType(t), callFlags(t), callData(t, d))
	})
	if err != nil {
		return &MountError{Errno: err}
	}
	return nil
}

func callFlags(t policy.Terms) uintptr {
	return uintptr(bits([]bit{
		{t.ReadOnly, unix.MS_RDONLY},
		{t.NoSuid, unix.MS_NOSUID},
		{t.NoDev, unix.MS_NODEV},
		{t.NoExec, unix.MS_NOEXEC},
		{t.NoAtime, unix.MS_NOATIME},
		{t.NoDirAtime, unix.MS_NODIRATIME},
		{t.NoSymfollow, unix.MS_NOSYMFOLLOW},
		{t.Sync, unix.MS_SYNCHRONOUS},
		{t.DirSync, unix.MS_DIRSYNC},
	}))
}

// callData is mount's data argument. It holds numbers and fixed words only, so
// it is far shorter than the page at which the kernel would cut it, and has no
// place for a comma of the caller's.
func callData(t policy.Terms, d *Device) string {
	var words []string
	for _, p := range numbers(t, d) {
		words = append(words, p.key+"="+p.value)
	}
	words = append(words, named([]flag{
		{t.AllowOther, "allow_other"},
		{t.DefaultPermissions, "default_permissions"},
	})...)
	return strings.Join(words, ",")
}
