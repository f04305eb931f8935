//go:build linux

// Package directmount makes the system calls of a FUSE mount in a process that may mount:
// with the new mount API and, where that is absent or forbidden or a name is too long for
// it, with mount(2). It decides nothing, and each of its calls may wait for a daemon.
package directmount

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/optwrite"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Request is a mount that is wanted.
type Request struct {
	Path   string         // the mountpoint
	OnFUSE bool           // it lies in a FUSE file system
	Params fsparam.Params // but for RootMode
	// Others are options that fsparam does not know. The kernel judges them. An empty value
	// is none.
	Others       []fsparam.Pair
	WantSyncInit bool // the daemon is to be asked before there is a mount, if the kernel can
	Detached     bool // the mount is wanted before it is attached: by the new mount API only
}

// Mount is one mount in the making.
type Mount struct {
	Request
	File     *os.File   // the device; blocking
	SyncInit bool       // Create waits for the daemon
	Tree     *os.File   // of fsmount(2), from Open to Attach; else nil
	Entry    mtab.Entry // once it is attached; unknown (ID 0) after mount(2)

	device  int // File's descriptor
	pin     int // the mountpoint: O_PATH, -1 for none
	context int // of fsopen(2), -1 for mount(2)
}

// New returns a mount of which nothing is made yet.
func New(r Request) *Mount { return &Mount{Request: r, pin: -1, context: -1} }

// Prepare does all that comes before the kernel makes a file system. After an error, too,
// Release is due.
func (m *Mount) Prepare() (err error) {
	if m.Params.RootMode, err = m.pinMountpoint(); err != nil {
		return fuseerr.Wrap(err.Error(), fuseerr.ErrMountpoint, err)
	}
	if m.Params.Fits() {
		m.context, err = unix.Fsopen(m.Params.Driver(), unix.FSOPEN_CLOEXEC)
		switch {
		case errors.Is(err, unix.ENODEV) && !m.Params.BlockDevice:
			return fuseerr.Wrap("this kernel has no FUSE", fuseerr.ErrNoDevice, err)
		case err != nil && !UnsupportedOrDenied(err):
			return err
		}
	}
	if m.device, err = openDevice(); err != nil { // after fsopen, which loads the module
		return err
	}
	m.File = os.NewFile(uintptr(m.device), fusedev.Path)
	m.SyncInit = m.WantSyncInit && connection.SyncInit(m.device) == nil
	if m.context < 0 {
		return nil
	}
	err = m.Params.Configure(m.context, m.device)
	switch {
	case UnsupportedOrDenied(err):
		m.closeContext()
		return nil
	case err != nil:
		return m.explain(err)
	}
	return m.configureOthers()
}

// pinMountpoint opens the mountpoint, and returns its file type.
func (m *Mount) pinMountpoint() (mode uint32, err error) {
	if m.pin, err = pathfd.Open(unix.AT_FDCWD, m.Path, 0); err != nil {
		return 0, err
	}
	var st unix.Statx_t
	flags := unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	if m.OnFUSE {
		flags = unix.AT_EMPTY_PATH | unix.AT_STATX_FORCE_SYNC // to find a dead one
	}
	if err := unix.Statx(m.pin, "", flags, unix.STATX_TYPE, &st); errors.Is(err, unix.ENOTCONN) {
		return 0, fuseerr.Wrap(fuseerr.ErrStale.Error(), fuseerr.ErrStale, err)
	} else if err != nil {
		return 0, err
	}
	mode = uint32(st.Mode) & unix.S_IFMT
	if mode != unix.S_IFDIR && mode != unix.S_IFREG {
		return 0, fuseerr.Wrap("the mountpoint is not a directory or a regular file", unix.ENOTDIR)
	}
	return mode, nil
}

func openDevice() (int, error) {
	fd, err := fusedev.Open(fusedev.Path)
	if err != nil {
		err = fuseerr.Wrap("open "+fusedev.Path+": "+err.Error(), fuseerr.ErrNoDevice, err)
	}
	return fd, err
}

// ofMount are options of the mount and not of the file system.
var ofMount = map[string]struct {
	attribute int     // for fsmount(2)
	flag      uintptr // for mount(2)
}{
	"relatime":    {unix.MOUNT_ATTR_RELATIME, unix.MS_RELATIME},
	"strictatime": {unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
}

// others returns the other options of the file system, and those of the mount.
func (m *Mount) others() (super []fsparam.Pair, attribute int, flag uintptr) {
	for _, o := range m.Others {
		if of, found := ofMount[o.Key]; found && o.Value == "" {
			attribute, flag = attribute|of.attribute, flag|of.flag
		} else {
			super = append(super, o)
		}
	}
	return super, attribute, flag
}

func (m *Mount) configureOthers() error {
	others, _, _ := m.others()
	for _, o := range others {
		err := rawfile.RetryEINTR(func() error {
			if o.Value == "" {
				return unix.FsconfigSetFlag(m.context, o.Key)
			}
			return unix.FsconfigSetString(m.context, o.Key, o.Value)
		})
		if errors.Is(err, unix.EINVAL) {
			return fuseerr.Wrap("option '"+optwrite.Pair(o.Key, o.Value)+"': "+m.explain(err).Error(), fuseerr.ErrUnknownOption, err)
		}
		if err != nil {
			return m.explain(err)
		}
	}
	return nil
}

// Create makes the file system, with SyncInit once its daemon has answered. Without
// SyncInit it may leave that to Attach.
func (m *Mount) Create() error {
	if m.context < 0 {
		return nil
	}
	err := unix.FsconfigCreate(m.context)
	if UnsupportedOrDenied(err) && !m.SyncInit {
		return m.reopen()
	}
	return m.explain(err)
}

// reopen leaves the new mount API for mount(2). The device belongs to the file system that
// was made with it, so another is opened under its number, which the file has.
func (m *Mount) reopen() error {
	m.closeContext()
	device, err := openDevice()
	if err == nil {
		err = errors.Join(unix.Dup3(device, m.device, unix.O_CLOEXEC), unix.Close(device))
	}
	return err
}

// Open makes a mount of the file system that is attached nowhere.
func (m *Mount) Open() error {
	if m.context < 0 {
		return fuseerr.Wrap("a detached mount needs the new mount API: "+unix.ENOSYS.Error(), unix.ENOSYS)
	}
	tree, err := m.fsmount()
	if err == nil {
		m.Tree = os.NewFile(uintptr(tree), m.Path)
	}
	return err
}

func (m *Mount) fsmount() (int, error) {
	_, attribute, _ := m.others()
	tree, err := unix.Fsmount(m.context, unix.FSMOUNT_CLOEXEC, m.Params.Attributes()|attribute)
	return tree, m.explain(err)
}

// Attach attaches the mount.
func (m *Mount) Attach() error {
	if m.context >= 0 {
		err := m.move()
		if err == nil || !UnsupportedOrDenied(err) || m.SyncInit || m.Detached {
			return err
		}
		if err := m.reopen(); err != nil {
			return err
		}
	}
	others, _, flag := m.others()
	data := m.Params.Data(m.device)
	for _, o := range others {
		if strings.Contains(o.Value, ",") {
			return fuseerr.Wrap("the value of "+o.Key+" has a comma, which mount(2) does not take", unix.EINVAL)
		}
		data += "," + optwrite.Pair(o.Key, o.Value)
	}
	mount := func(target string) error {
		return unix.Mount(m.Params.Source, target, m.Params.Type(), m.Params.Flags()|flag, data)
	}
	err := mount(pathfd.Link(m.pin))
	if errors.Is(err, unix.ENOENT) { // without /proc there is only the path
		err = mount(m.Path)
	}
	if err != nil {
		return fuseerr.Wrap("mount(2): "+err.Error(), err)
	}
	return nil
}

// move attaches what the new mount API has made. The mount's descriptor keeps the mount
// busy, in this process and in its children, so no child may be started meanwhile.
func (m *Mount) move() error {
	if m.Tree != nil {
		err := m.moveTree(int(m.Tree.Fd()))
		err = errors.Join(err, m.Tree.Close())
		m.Tree = nil
		return err
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	tree, err := m.fsmount()
	if err != nil {
		return err
	}
	return errors.Join(m.moveTree(tree), unix.Close(tree))
}

func (m *Mount) moveTree(tree int) error {
	err := unix.MoveMount(tree, "", m.pin, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fuseerr.Wrap("move_mount: "+err.Error(), err)
	}
	m.Entry, _, err = mtab.ByFD(tree)
	return err
}

// Release closes all but the device, and so ends what was made and not attached.
func (m *Mount) Release() {
	if m.pin >= 0 {
		_ = unix.Close(m.pin) // O_PATH: nothing can fail
		m.pin = -1
	}
	if m.Tree != nil {
		_ = m.Tree.Close() // likewise
		m.Tree = nil
	}
	m.closeContext()
}

func (m *Mount) closeContext() {
	if m.context >= 0 {
		_ = unix.Close(m.context) // nothing can fail
		m.context = -1
	}
}

// explain adds what the kernel says about the context.
func (m *Mount) explain(err error) error {
	if err == nil {
		return nil
	}
	text := "mount: " + err.Error()
	if messages := fsparam.Messages(m.context); messages != "" {
		text += " (" + messages + ")"
	}
	return fuseerr.Wrap(text, err)
}

// UnsupportedOrDenied reports whether an error may mean that this process cannot make
// such a system call at all (old kernel, seccomp filter, security module, user
// namespace), so that another way is worth a try.
func UnsupportedOrDenied(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}
