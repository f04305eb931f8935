//go:build linux

// Package peer finds out who is at the other end of a Unix socket, and in which namespaces
// they are. All of it is what the kernel says: nothing is taken from the peer.
package peer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Peer is the process that has connected. Its ids are those of that moment, as they are
// called in this process's user namespace. It may have ended since, or have passed its
// socket on: every later step is made through PIDFD, which is never another process's.
type Peer struct {
	PID      int // 0 where it is not in this process's pid namespace
	UID, GID uint32
	Groups   []uint32
	PIDFD    int
}

// ErrNoPIDFD says that this kernel does not give a process descriptor for a socket's peer
// (it does from Linux 6.5 on). A process number alone may be another process's by now.
var ErrNoPIDFD = errors.New("the kernel does not tell who is at the socket (SO_PEERPIDFD, Linux 6.5)")

// Socket options of linux/socket.h that package unix lacks.
const (
	soPeerGroups = 59
	soPeerPIDFD  = 77
)

// maxGroups is NGROUPS_MAX.
const maxGroups = 65536

// Of examines the peer of a connected socket. PIDFD is the caller's, and close-on-exec.
func Of(socket int) (p Peer, err error) {
	p.PIDFD, err = unix.GetsockoptInt(socket, unix.SOL_SOCKET, soPeerPIDFD)
	switch {
	case errors.Is(err, unix.ENOPROTOOPT):
		return p, ErrNoPIDFD
	case err != nil:
		return p, fmt.Errorf("SO_PEERPIDFD: %w", err)
	}
	cred, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil {
		p.PID, p.UID, p.GID = int(cred.Pid), cred.Uid, cred.Gid
		p.Groups, err = groups(socket)
	} else {
		err = os.NewSyscallError("SO_PEERCRED", err)
	}
	if err == nil && (p.UID == invalidID || p.GID == invalidID) {
		err = errors.New("the peer has no ids: its socket was not connected")
	}
	if err != nil {
		return p, errors.Join(err, unix.Close(p.PIDFD))
	}
	return p, nil
}

// invalidID is what SO_PEERCRED says of nobody.
const invalidID = ^uint32(0)

// groups returns the supplementary groups.
func groups(socket int) ([]uint32, error) {
	for n := 64; n <= maxGroups; n *= 32 {
		list := make([]uint32, n)
		size := uint32(4 * n)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(socket), unix.SOL_SOCKET, soPeerGroups,
			uintptr(unsafe.Pointer(&list[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return list[:size/4], nil
		case unix.ERANGE:
		case unix.ENODATA:
			return nil, nil
		default:
			return nil, os.NewSyscallError("SO_PEERGROUPS", errno)
		}
	}
	return nil, errors.New("SO_PEERGROUPS: more groups than the kernel allows")
}

// Namespace is an open namespace. Two of the same kind are one if the files are one.
type Namespace struct {
	FD       int
	dev, ino uint64
}

// ioctls of linux/pidfd.h (Linux 6.11) and linux/nsfs.h.
const (
	pidfdGetMount = 0xff03
	pidfdGetUser  = 0xff09
	nsGetUser     = 0xb701
	nsGetMountID  = 0x8008b705 // NS_GET_MNTNS_ID (Linux 6.11); another number on MIPS and PowerPC
)

// MountID is the number by which statmount(2) knows a mount namespace.
func (n Namespace) MountID() (id uint64, err error) {
	request := uintptr(nsGetMountID)
	if strings.HasPrefix(runtime.GOARCH, "mips") || strings.HasPrefix(runtime.GOARCH, "ppc") {
		request = 0x4008b705
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(n.FD), request, uintptr(unsafe.Pointer(&id))); errno != 0 {
		return 0, os.NewSyscallError("NS_GET_MNTNS_ID", errno)
	}
	return id, nil
}

// Mount opens the mount namespace in which the peer is now.
func (p Peer) Mount() (Namespace, error) { return open(p.PIDFD, pidfdGetMount, "mount namespace") }

// User opens the user namespace in which the peer is now.
func (p Peer) User() (Namespace, error) { return open(p.PIDFD, pidfdGetUser, "user namespace") }

// Owner opens the user namespace that owns n. For a mount namespace it is the one whose
// root may mount there, which may be another than that of a process inside.
func (n Namespace) Owner() (Namespace, error) { return open(n.FD, nsGetUser, "owning user namespace") }

// Own opens a namespace of this thread: mnt, user.
func Own(kind string) (Namespace, error) {
	fd, err := unix.Open("/proc/thread-self/ns/"+kind, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Namespace{}, fmt.Errorf("own namespace %s: %w", kind, err)
	}
	return identify(fd)
}

func open(fd int, request uintptr, what string) (Namespace, error) {
	ns, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, 0)
	if errno != 0 {
		return Namespace{}, fmt.Errorf("%s of the peer: %w", what, errno)
	}
	unix.CloseOnExec(int(ns)) // the kernel's are close-on-exec; this costs nothing
	return identify(int(ns))
}

func identify(fd int) (Namespace, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Namespace{}, errors.Join(os.NewSyscallError("fstat", err), unix.Close(fd))
	}
	return Namespace{FD: fd, dev: uint64(st.Dev), ino: st.Ino}, nil
}

// Same reports whether two namespaces are one.
func (n Namespace) Same(other Namespace) bool { return n.dev == other.dev && n.ino == other.ino }

// Close closes n.
func (n Namespace) Close() error { return unix.Close(n.FD) }

// Close gives the peer up.
func (p Peer) Close() error { return unix.Close(p.PIDFD) }

// Enter moves this thread into n, a mount namespace, and keeps the root directory that the thread
// has: what is opened by an absolute path, as /dev/fuse and /proc/self, is this process's own,
// whatever is mounted in n, while the kernel's mount table and its changes are those of n. The
// thread has to be locked, and is of no use for anything else afterwards. It takes CAP_SYS_ADMIN
// over n and CAP_SYS_CHROOT. After an error the thread may be anywhere, and has to end.
func (n Namespace) Enter() error {
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/", Err: err}
	}
	for _, step := range []struct {
		name string
		call func() error
	}{
		{"setns", n.set},
		{"fchdir", func() error { return unix.Fchdir(root) }},
		{"chroot", func() error { return unix.Chroot(".") }},
	} {
		if err := step.call(); err != nil {
			return errors.Join(os.NewSyscallError(step.name, err), unix.Close(root))
		}
	}
	return unix.Close(root)
}

// set makes n the thread's mount namespace. A thread that shares its root directory cannot; one that
// the Go runtime starts right between the two calls shares it again.
func (n Namespace) set() (err error) {
	const tries = 100
	for range tries {
		if err = unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
		if err = unix.Setns(n.FD, unix.CLONE_NEWNS); !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return err
}
