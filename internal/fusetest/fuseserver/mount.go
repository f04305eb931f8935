package fuseserver

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// MountOptions are those of a mount without the helper. The zero value is a
// mount of type fuse that belongs to uid 0.
type MountOptions struct {
	UID, GID uint32  // the mount's owner: user_id and group_id
	Source   string  // "fusetest" when empty
	Subtype  string  // gives type fuse.Subtype
	Flags    uintptr // MS_*; nosuid and nodev are always added
	Data     string  // more options for the kernel, comma-separated
	Server   Options
}

// Mount mounts a FUSE file system on dir by mount(2) and serves it. It needs
// CAP_SYS_ADMIN in the mount namespace and a device that can be opened. The caller closes
// the server; [fusetest.Dir] unmounts the mount.
func Mount(dir string, tree Tree, opts MountOptions) (*Server, error) {
	dev, err := fusetest.OpenDevice()
	if err != nil {
		return nil, err
	}
	typ, source := "fuse", opts.Source
	if opts.Subtype != "" {
		typ += "." + opts.Subtype
	}
	if source == "" {
		source = "fusetest"
	}
	flags := opts.Flags | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount(source, dir, typ, flags, mountData(dev, tree, opts)); err != nil {
		err = &os.PathError{Op: "mount", Path: dir, Err: err}
		return nil, errors.Join(err, dev.Close())
	}
	return ServeOptions(dev, tree, opts.Server), nil
}

func mountData(dev *os.File, tree Tree, opts MountOptions) string {
	rootmode := uint32(unix.S_IFDIR)
	if tree.FileRoot != nil {
		rootmode = unix.S_IFREG
	}
	data := []string{fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d",
		dev.Fd(), rootmode, opts.UID, opts.GID)}
	if opts.Data != "" {
		data = append(data, opts.Data)
	}
	return strings.Join(data, ",")
}
