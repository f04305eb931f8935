package fusermount

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

// adoptedPrefix begins a mountpoint that stands for a descriptor, as libfuse,
// hanwen/go-fuse and jacobsa/fuse know it.
const adoptedPrefix = "/dev/fd/"

// adoptable gives the descriptor that a mountpoint stands for.
func adoptable(mountpoint string) (device int, ok bool, err error) {
	number, ok := strings.CutPrefix(mountpoint, adoptedPrefix)
	if !ok {
		return -1, false, nil
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return -1, false, because("after "+adoptedPrefix+" a mountpoint has the number of a descriptor", unix.EINVAL)
	}
	if _, err := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0); err != nil {
		return -1, true, because("descriptor "+number+" is not open", err)
	}
	if !fusedev.Is(int(n)) {
		return -1, true, because("descriptor "+number+" is not the fuse device", ErrNoDevice, unix.EINVAL)
	}
	return int(n), true, nil
}

// adopt makes a Mounted of a device that somebody else has mounted. It works on
// a copy, so that whatever fails leaves the caller's descriptor to him: he
// cannot know of which errors he would have to close it.
func (m *mounting) adopt(given int, err error) (*Mounted, error) {
	if err != nil {
		return nil, err
	}
	if err := m.adoptableNow(given); err != nil {
		return nil, err
	}
	device, err := unix.FcntlInt(uintptr(given), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	m.was.path = m.given
	flags, err := unix.FcntlInt(uintptr(given), unix.F_GETFL, 0)
	if err != nil {
		return nil, also(os.NewSyscallError("fcntl", err), unix.Close(device))
	}
	file := newDevice(device)
	if err := m.callBack(file); err != nil {
		// The copy shares these with what stays the caller's.
		return nil, also(err, unix.SetNonblock(given, flags&unix.O_NONBLOCK != 0), file.Close())
	}
	// Only now: SyncInit may be what had it mounted.
	entry, found := byConnection(device)
	if !found {
		entry = mtab.Entry{}
	}
	mounted := m.mounted(file, entry, false)
	mounted.adopted = true
	closeAll(given)
	return mounted, nil
}

// adoptableNow wants somebody to have mounted the device, as far as anybody must
// have: with SyncInit that may still come.
func (m *mounting) adoptableNow(device int) error {
	if m.r.SyncInit != nil {
		return whyEnded(m.ctx)
	}
	is, err := await(m.ctx, func() (bool, error) { return fusedev.IsMounted(device), nil }, func(bool, error) {})
	if err == nil && !is {
		err = because("descriptor "+strconv.Itoa(device)+" is not mounted", ErrNotMounted)
	}
	return err
}
