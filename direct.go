package fusermount

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// direct is a mount that this process makes by itself: with the new mount API
// and, where that is absent or forbidden or a name is too long for it, with
// mount(2).
type direct struct {
	r      *request
	who    caller
	before before
	at     int      // the mountpoint, pinned: O_PATH
	mode   uint32   // its file type
	file   *os.File // the device, and its number
	device int
	// context is fsopen's, -1 for mount(2).
	context int
	sync    bool          // the kernel waits for the daemon
	made    chan struct{} // closed when there is the mount, or will be none
}

// maxParameter is the longest string in bytes that fsconfig(2) takes.
const maxParameter = 255

// prepareDirect does all that comes before the kernel makes a file system.
func prepareDirect(r *request, was before, who caller) (d *direct, err error) {
	if len(r.unknown) > 0 {
		return nil, because("unknown option '"+r.unknown[0]+"'", ErrUnknownOption, unix.EINVAL)
	}
	d = &direct{r: r, who: who, before: was, at: -1, context: -1, made: make(chan struct{})}
	if err := d.prepare(); err != nil {
		d.giveUp()
		return nil, err
	}
	return d, nil
}

func (d *direct) prepare() (err error) {
	if err := d.pin(); err != nil {
		return err
	}
	if len(d.r.source()) <= maxParameter && len(d.r.typed.Subtype) <= maxParameter {
		if err := d.open(); err != nil && !closedWay(err) {
			return err
		}
	}
	if d.device, err = openDevice(); err != nil { // after fsopen, which loads the module
		return err
	}
	d.file = os.NewFile(uintptr(d.device), fusedev.Path)
	d.sync = d.r.SyncInit != nil && askSync(d.device)
	if d.context < 0 {
		return nil
	}
	err = d.configure()
	if closedWay(err) {
		d.closeContext()
		return nil
	}
	return d.explain(err)
}

func (d *direct) pin() (err error) {
	if d.at, err = pathfd.Open(unix.AT_FDCWD, d.before.path, 0); err != nil {
		return err
	}
	var st unix.Statx_t
	flags := unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	if mountopts.IsFuse(d.before.below.Type) {
		flags = unix.AT_EMPTY_PATH | unix.AT_STATX_FORCE_SYNC // a dead one is no good
	}
	if err := unix.Statx(d.at, "", flags, unix.STATX_TYPE, &st); errors.Is(err, unix.ENOTCONN) {
		return because(ErrStale.Error(), ErrStale, err)
	} else if err != nil {
		return err
	}
	d.mode = uint32(st.Mode) & unix.S_IFMT
	if d.mode != unix.S_IFDIR && d.mode != unix.S_IFREG {
		return because("the mountpoint is not a directory or a regular file", unix.ENOTDIR)
	}
	return nil
}

func (d *direct) open() (err error) {
	fstype, _, _ := strings.Cut(d.r.fsType(), ".")
	d.context, err = unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) && fstype == "fuse" {
		err = because("this kernel has no FUSE", ErrNoDevice, err)
	}
	return err
}

// release closes all but the device.
func (d *direct) release() {
	if d.at >= 0 {
		_ = unix.Close(d.at) // O_PATH: nothing can fail
		d.at = -1
	}
	d.closeContext()
}

func (d *direct) closeContext() {
	if d.context >= 0 {
		_ = unix.Close(d.context) // with it goes what was made and not mounted
		d.context = -1
	}
}

// giveUp closes everything.
func (d *direct) giveUp() {
	d.release()
	if d.file != nil {
		_ = d.file.Close() // nothing was written to it
	}
}

// mount makes the file system and attaches it. With sync it waits for the
// daemon.
func (d *direct) mount() (mtab.Entry, error) {
	if d.context >= 0 {
		e, err := d.mountByContext()
		if err == nil || !closedWay(err) || d.sync {
			return e, err
		}
		// A device belongs to the file system that was made with it.
		if err := d.renew(); err != nil {
			return mtab.Entry{}, err
		}
	}
	if err := d.mountByCall(); err != nil {
		return mtab.Entry{}, err
	}
	e, found := servedBy(d.device, d.r, d.before, d.who.uid)
	if !found {
		return mtab.Entry{}, errors.New("the new mount is not in the mount table")
	}
	return e, nil
}

// renew opens the device again. Its number stays: the file has it.
func (d *direct) renew() error {
	device, err := openDevice()
	if err != nil {
		return err
	}
	return errors.Join(unix.Dup3(device, d.device, unix.O_CLOEXEC), unix.Close(device))
}

func (d *direct) mountByContext() (mtab.Entry, error) {
	if err := unix.FsconfigCreate(d.context); err != nil {
		return mtab.Entry{}, d.explain(err)
	}
	return d.attach()
}

// attach attaches what was made. The mount's descriptor keeps it busy, in this
// process and in whatever is forked meanwhile, so nothing may be.
func (d *direct) attach() (e mtab.Entry, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	mount, err := unix.Fsmount(d.context, unix.FSMOUNT_CLOEXEC, d.r.mountAttributes())
	if err != nil {
		return e, d.explain(err)
	}
	defer func() { err = errors.Join(err, unix.Close(mount)) }()
	if err := unix.MoveMount(mount, "", d.at, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return e, because("move_mount: "+err.Error(), err)
	}
	e, _, err = mtab.ByFD(mount)
	return e, err
}

func (d *direct) configure() error {
	set := func(key, value string) error { return unix.FsconfigSetString(d.context, key, value) }
	err := set("source", d.r.source())
	if err == nil && d.r.typed.Subtype != "" {
		err = set("subtype", d.r.typed.Subtype)
	}
	for _, word := range d.words() {
		if err != nil {
			return err
		}
		if key, value, found := strings.Cut(word, "="); found {
			err = set(key, value)
		} else {
			err = unix.FsconfigSetFlag(d.context, key)
		}
	}
	for _, flag := range d.r.superFlags() {
		if err == nil {
			err = unix.FsconfigSetFlag(d.context, flag)
		}
	}
	return err
}

func (d *direct) mountByCall() error {
	flags := d.r.callFlags()
	target := pathfd.Link(d.at)
	err := unix.Mount(d.r.source(), target, d.r.fsType(), flags, strings.Join(d.words(), ","))
	if errors.Is(err, unix.ENOENT) { // without /proc there is only the path
		err = unix.Mount(d.r.source(), d.before.path, d.r.fsType(), flags, strings.Join(d.words(), ","))
	}
	if err != nil {
		return because("mount(2): "+err.Error(), err)
	}
	return nil
}

// explain adds what the kernel says about a context. Each of its messages begins
// with a letter for its kind and a blank.
func (d *direct) explain(err error) error {
	if err == nil {
		return nil
	}
	text := "mount: " + err.Error()
	buf := make([]byte, 1024)
	for range 8 {
		n, e := rawfile.Reader(d.context).Read(buf)
		if e != nil {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if len(line) > 2 && line[1] == ' ' {
			line = line[2:]
		}
		text += " (" + line + ")"
	}
	return because(text, err)
}
