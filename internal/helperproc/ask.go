//go:build linux

package helperproc

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// Service is what errors call the mount service.
const Service = "fusermountd"

// Connect connects to the mount service, which is then treated as a helper: its answer is the helper's
// end. The service takes this thread's ids for the caller's. The error is ask.ErrNoService if there
// is none.
func Connect(ctx context.Context) (p *Proc, err error) {
	p = &Proc{path: Service, pidfd: -1, socket: -1, output: newOutput(-1, Service), gone: make(chan struct{})}
	if p.ctx, err = newCtxfd(ctx); err != nil {
		return nil, err
	}
	if p.conn, err = ask.Connect(ask.Path(os.Getenv(ask.SocketVariable)), func(fd int) error { return readable(p, fd) }); err != nil {
		p.ctx.close()
		return nil, err
	}
	p.pidfd = p.conn.FD()
	return p, nil
}

// Ask has the service do what a helper would do at path, which has no symbolic link at its end.
// The lookups may wait for a daemon. After an error nothing is left of p.
func Ask(p *Proc, r wire.Request, path string) error {
	err := request(p, r, path)
	if err == nil {
		return nil
	}
	Disconnect(p)
	return p.Fail(err)
}

// Disconnect gives p up before it has asked.
func Disconnect(p *Proc) {
	p.ctx.close()
	closeAll(p.socket)
	p.socket = -1
	_ = p.conn.Close() // a proof that cannot be removed is no reason for the failure
}

func request(p *Proc, r wire.Request, path string) error {
	var opened []int
	defer func() { closeAll(opened...) }()
	open := func(dir int, name string, flags int) (fd int, err error) {
		if fd, err = pathfd.Open(dir, name, flags); err == nil {
			opened = append(opened, fd)
		}
		return fd, err
	}
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return fuseerr.Wrap("bad mount point "+path+": the mount service needs a name", fuseerr.ErrMountpoint, unix.EINVAL)
	}
	r.Path, r.Name = path, name
	parent, err := open(unix.AT_FDCWD, cmp.Or(dir, "."), unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	sockets, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	p.socket = sockets[0]
	opened = append(opened, sockets[1])
	if r.Op != wire.Mount {
		return p.conn.Send(&r, -1, parent)
	}
	at, err := open(parent, r.Name, unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return err
	}
	fds := []int{parent, sockets[1]}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return p.conn.Send(&r, at, fds...)
	}
	if file, err := rawfile.Open(pathfd.Link(at), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0); err == nil {
		opened = append(opened, file)
		fds = append(fds, file)
	} // else the service says what is missing
	return p.conn.Send(&r, -1, fds...)
}

// readable waits until fd can be read, or for the end of the context.
func readable(p *Proc, fd int) error {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(p.ctx.fd), Events: unix.POLLIN}}
	for fds[0].Revents == 0 {
		if err := p.ctx.err(); err != nil {
			return err
		}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
	}
	return nil
}

// hasAnswered is hasEnded for the mount service.
func hasAnswered(p *Proc) bool {
	if p.reaped {
		return true
	}
	r, err := p.conn.Reply()
	if errors.Is(err, unix.EAGAIN) {
		return false
	}
	if err != nil && r.Errno == 0 {
		r.Errno, r.Text = uint32(unix.EIO), err.Error()
	}
	lines := r.Notices
	if r.Errno != 0 {
		lines = append(lines, r.Text)
		p.status = syscall.WaitStatus(1 << 8) // exit status 1
	}
	if r.Hint != "" {
		lines = append(lines, HintPrefix+r.Hint)
	}
	for _, line := range lines {
		p.output.keep([]byte(strings.ReplaceAll(line, "\n", " ") + "\n"))
	}
	p.reaped = true
	return true
}

// stopService is stop for the mount service: its worker sees that the socket is closed, and takes
// back what it has mounted.
func stopService(p *Proc) {
	_ = p.waitUntil(time.Now().Add(stopTimeout)) // without an answer it is given up
	p.reaped = true
	_ = p.conn.Close() // nobody can be told
	p.pidfd = -1
	close(p.gone)
}

// unprove removes the proof of write access, which the service has seen by now or need not see.
func unprove(p *Proc) {
	if p.conn != nil {
		_ = p.conn.Unprove() // a file that cannot be removed is no reason to fail: the mount is there
	}
}
