package fuzzcmd

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// surround chooses the environment, descriptors, limits and masks of a call.
func (c *call) surround(e *entropy) {
	if e.odd(8) {
		c.program(e)
	}
	if e.odd(4) {
		c.environment(e)
	}
	if e.odd(4) && c.Socket != helpertest.NoSocket {
		c.comm(e)
	}
	if e.odd(8) {
		c.limits(e)
	}
	if e.odd(10) {
		closed, open := 0o777, 0
		c.Umask = one(e, &closed, &open)
		c.Block = one(e, nil, []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGURG, unix.SIGXFSZ, unix.SIGCHLD})
		c.Ignore = one(e, nil, []unix.Signal{unix.SIGPIPE, unix.SIGCHLD, unix.SIGXFSZ})
	}
	if e.odd(10) {
		c.CloseFDs = one(e, []int{0}, []int{1}, []int{2}, []int{0, 1, 2}, []int{1, 2})
		if c.CommStdin || c.CommFD == 1 || c.CommFD == 2 || (c.kind == ask && slices.Contains(c.CloseFDs, 1)) {
			c.sure = false
		}
	}
	if e.odd(8) {
		c.deny(e)
	}
	c.early = c.early || (c.broken && c.CloseFDs != nil) // the runtime needs /dev/null for these
	c.sure = c.sure && !c.early
}

// program chooses argv[0].
func (c *call) program(e *entropy) {
	name := one(e, "fusermount3", "", "\x1b]0;x\a\nfake: ok", strings.Repeat("p", 3000), "\u009b1m\x9b", "a: b")
	c.Argv = append([]string{name}, c.Args...)
	if e.odd(8) {
		c.Argv, c.Args, c.sure, c.kind = []string{}, nil, false, garbage
	}
}

func (c *call) environment(e *entropy) {
	for range 1 + e.below(3) {
		v := one(e,
			"LD_PRELOAD=/nowhere/evil.so", "LIBMOUNT_FSTAB=/nowhere", "TZ=/etc/shadow", "PATH=/tmp", "PWD=/root", "HOME=", "USER=root",
			"MODPROBE_OPTIONS=-C /tmp", "FUSE_KERN_DEVICE=/dev/null", "_FUSE_COMMFD2=0", "LC_ALL=tr_TR", "GOMAXPROCS=1", "GOGC=1",
			"GOTRACEBACK=crash", "GODEBUG=madvdontneed=1,netdns=cgo", "GOMEMLIMIT=1B", "GODEBUG=gctrace=1,inittrace=1", "GODEBUG=schedtrace=1",
			"GOMEMLIMIT=x", "GODEBUG=invalidptr=2,cgocheck=9,,=", "GOMAXPROCS=64", "\xff=\xfe", "=", "A",
		)
		c.Env = append(c.Env, v)
		c.noisy = c.noisy || strings.Contains(v, "trace=1")
		if v == "GOMEMLIMIT=x" || strings.Contains(v, "cgocheck") {
			c.early = true
		}
	}
}

// comm chooses the comm socket, or something else.
func (c *call) comm(e *entropy) {
	switch e.below(10) {
	case 0, 1, 2:
		c.Socket = helpertest.Seqpacket
	case 3:
		c.CommFD = one(e, 5, 17, 100)
		if c.NoCommEnv { // named on the command line
			c.sure = false
		}
	case 4:
		c.CommStdin, c.sure = true, c.sure && !c.NoCommEnv
	case 5:
		if !c.noisy { // the runtime would fill the socket and block
			c.CommFD = one(e, 1, 2)
			c.sure = false // a library that does this gets no messages, and the reply is not checked
		}
	case 6:
		c.HangUp = true
		c.sure = c.sure && c.kind == watch
	case 7:
		c.Prefill = true
		c.sure = c.sure && c.kind == watch
	case 8:
		c.strangeComm(e)
	case 9:
		text := one(e, "", "x", "+3", " 3", "3\n", "0x3", "-1", "4", "0", "2", "99999999999", "2147483647", "1024", "3.", "٣", "03")
		c.Env = append(c.Env, "_FUSE_COMMFD="+text)
		c.sure = c.sure && (c.NoCommEnv || text == "03")
	}
	c.sure = c.sure || c.kind == ask
}

// strangeComm replaces the socket by something else.
func (c *call) strangeComm(e *entropy) {
	c.sure = false
	c.Socket = one(e, helpertest.Dgram, helpertest.NoSocket)
	if c.Socket == helpertest.NoSocket {
		c.Comm = strange(e)
	}
}

func (c *call) limits(e *entropy) {
	const k, m = 1 << 10, 1 << 20
	type limit struct {
		helpertest.Rlimit
		sure, early bool
	}
	l := one(e,
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_FSIZE}, true, false},
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_NPROC}, !c.sync, false}, // see threadless
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_CORE}, true, false},
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_MEMLOCK}, true, false},
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_SIGPENDING}, true, false},
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_STACK, Value: 256 * k}, true, false},
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_NOFILE, Value: uint64(4 + e.below(12))}, false, true},
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_AS, Value: uint64(4+e.below(200)) * m}, false, true},
		limit{helpertest.Rlimit{Resource: unix.RLIMIT_DATA, Value: uint64(e.below(64)) * m}, false, true},
	)
	c.Rlimits = []helpertest.Rlimit{l.Rlimit}
	c.sure, c.early = c.sure && l.sure, c.early || l.early
}

// threadless reports whether the runtime can start no thread. It rarely has to; if it
// does, it ends the program.
func (c *call) threadless() bool {
	return c.Rlimits != nil && c.Rlimits[0].Resource == unix.RLIMIT_NPROC
}

// deny has system calls fail, as on another kernel or in a container, or others.
func (c *call) deny(e *entropy) {
	if !e.odd(2) { // the helper has a fallback
		c.Deny = one(e,
			helpertest.Deny(unix.ENOSYS, "fsopen"), helpertest.Deny(unix.EPERM, "fsopen", "fsmount"), helpertest.Deny(unix.EACCES, "move_mount"),
			helpertest.Deny(unix.ENOSYS, "statmount", "listmount"), helpertest.Deny(unix.ENOSYS, "faccessat2"),
			helpertest.Deny(unix.ENOSYS, "fsopen", "statmount", "listmount"), helpertest.Deny(unix.EPERM, "statmount"))
		c.sure = c.sure && !c.sync
		return
	}
	c.sure, c.broken = false, true
	c.Deny = helpertest.Deny(one(e, unix.EPERM, unix.ENOSYS, unix.ENOMEM, unix.EIO, unix.EAGAIN), one(e,
		"fsopen", "fsconfig", "fsmount", "move_mount", "mount", "umount2", "statx", "sendmsg", "name_to_handle_at", "flock",
		"fchdir", "prctl", "capset", "capget", "setresuid", "setresgid", "setsid", "unlinkat", "fsync", "readlinkat", "write", "openat"))
}

// peer is what a caller of --sync-init does with the device.
type peer struct {
	name   string
	good   bool // there will be a mount
	serve  bool // with FUSE_DEV_IOC_SYNC_INIT, by a daemon that answers
	answer []byte
	shut   bool // for reading: the status cannot be sent
	close  bool
	die    bool // the device is closed first
}

var goesAway = peer{name: "goes away", close: true}

var peers = []peer{
	{name: "answers", good: true, answer: []byte{0}},
	{name: "serves", good: true, serve: true, answer: []byte{0}},
	{name: "answers too much", good: true, answer: []byte("many bytes")},
	goesAway,
	{name: "answers and goes away", answer: []byte{0}, close: true},
	{name: "cannot be answered", answer: []byte{0}, shut: true},
	{name: "dies and answers", good: true, answer: []byte{0}, die: true},
}

// strange returns an open file that is no socket for a reply. Each is made once, and
// closed with the process.
func strange(e *entropy) *os.File {
	i := e.below(len(stranges))
	if made[i] == nil {
		fd, err := stranges[i]()
		if err != nil {
			panic(err)
		}
		made[i] = os.NewFile(uintptr(fd), "strange")
	}
	return made[i]
}

var made = make([]*os.File, len(stranges))

var stranges = [...]func() (int, error){
	func() (int, error) { return unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0) },
	func() (int, error) { return unix.Open("/", unix.O_RDONLY|unix.O_CLOEXEC, 0) },
	func() (int, error) { return unix.Open("/etc/passwd", unix.O_PATH|unix.O_CLOEXEC, 0) },
	func() (int, error) { return unix.Open(fusetest.DevicePath, unix.O_RDWR|unix.O_CLOEXEC, 0) },
	func() (int, error) { return pipeEnd(0) },
	func() (int, error) { return pipeEnd(1) },
	func() (int, error) { return unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) },
	func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) },
	func() (int, error) { return unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0) },
	func() (int, error) { return unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) },
	listening,
	func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) },
	func() (int, error) { return unix.EpollCreate1(unix.EPOLL_CLOEXEC) },
	func() (int, error) { return unix.MemfdCreate("memfd", unix.MFD_CLOEXEC) },
	func() (int, error) { return unix.InotifyInit1(unix.IN_CLOEXEC) },
	func() (int, error) { return unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0) },
}

func pipeEnd(n int) (int, error) {
	var pipe [2]int
	err := unix.Pipe2(pipe[:], unix.O_CLOEXEC)
	return pipe[n], err
}

func listening() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{}); err != nil { // the kernel chooses a name
		return 0, err
	}
	return fd, unix.Listen(fd, 1)
}
