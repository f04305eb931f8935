package fuzzcmd

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// peer is how a caller of --sync-init goes on when it has the device.
type peer struct {
	name   string
	good   bool // there will be a mount
	serve  bool // with FUSE_DEV_IOC_SYNC_INIT, by a daemon that answers
	answer []byte
	shut   bool // reading: the status cannot be sent
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
	{name: "cannot be told", answer: []byte{0}, shut: true},
	{name: "dies and answers", good: true, answer: []byte{0}, die: true},
}

// strange gives an open file that carries no reply. It is closed with the
// process: each is made once.
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
