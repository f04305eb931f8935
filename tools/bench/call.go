package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helper is a program that is compared.
type helper struct {
	name, path string
	socket     string // of the mount service that it asks; empty: it has rights of its own
	traced     bool   // count threads, which takes time
}

// call is one run of a helper, with the caller's descriptors.
type call struct {
	process *os.Process
	args    []string
	began   time.Time
	traced  bool
	socket  int
	device  int // -1 until it was received
}

// start starts a helper as an ordinary user, with a socket.
func (h *helper) start(args ...string) (*call, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(fds[1]), "socket")
	defer theirs.Close()
	// The C helper's watcher prints an error for a mount that is gone already.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]))
	}
	defer null.Close()
	runtime.GC() // not while the clock runs
	c := &call{args: args, traced: h.traced, socket: fds[0], device: -1, began: time.Now()}
	path, argv := h.path, append([]string{h.path}, args...)
	if h.traced {
		path, argv = stopped(h.path, args)
	}
	c.process, err = os.StartProcess(path, argv, &os.ProcAttr{
		Env:   []string{"_FUSE_COMMFD=3", "FUSERMOUNT_SOCKET=" + h.socket},
		Files: []*os.File{null, null, null, theirs},
		Sys:   &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}},
	})
	if err != nil {
		return nil, errors.Join(err, unix.Close(c.socket))
	}
	return c, nil
}

// wait waits until the helper exits, and returns what the run cost.
func (c *call) wait() (cost, error) {
	var threads int64
	if c.traced {
		var err error
		if threads, err = countThreads(c.process.Pid); err != nil {
			return cost{}, fmt.Errorf("%v: %w", c.args, err)
		}
		return cost{threads: threads}, c.process.Release()
	}
	state, err := c.process.Wait()
	took := time.Since(c.began)
	if err != nil {
		return cost{}, err
	}
	if !state.Success() {
		return cost{}, fmt.Errorf("%v: %v", c.args, state)
	}
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return cost{}, errors.New("no resource usage")
	}
	return cost{took: took, cpu: state.UserTime() + state.SystemTime(), faults: int64(usage.Minflt)}, nil
}

// receive waits for the device.
func (c *call) receive() error {
	oob := make([]byte, 64)
	_, oobn, _, _, err := unix.Recvmsg(c.socket, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return err
	}
	if len(messages) == 0 {
		return fmt.Errorf("%v: no descriptor", c.args)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	c.device = fds[0]
	return nil
}

// answer tells the helper to mount, and reads the status.
func (c *call) answer() (status int32, err error) {
	if _, err := unix.Write(c.socket, []byte{0}); err != nil {
		return 0, err
	}
	buf := make([]byte, 4)
	if n, err := unix.Read(c.socket, buf); err != nil || n != len(buf) {
		return 0, fmt.Errorf("status of %d bytes, %v", n, err)
	}
	return int32(binary.NativeEndian.Uint32(buf)), nil
}

// close closes the caller's descriptors.
func (c *call) close() error {
	err := unix.Close(c.socket)
	if c.device >= 0 {
		err = errors.Join(err, unix.Close(c.device))
	}
	return err
}

// round mounts and unmounts once.
func (h *helper) round(mountpoint string) (mount, unmount cost, err error) {
	c, err := h.start(mountpoint)
	if err != nil {
		return mount, unmount, err
	}
	// Most callers wait for the exit before they read.
	mount, err = c.wait()
	if err == nil {
		err = c.receive()
	}
	if err != nil {
		return mount, unmount, errors.Join(err, c.close())
	}
	unmount, err = h.unmount(mountpoint)
	return mount, unmount, errors.Join(err, c.close())
}

// unmount runs -u.
func (h *helper) unmount(mountpoint string) (cost, error) {
	c, err := h.start("-u", mountpoint)
	if err != nil {
		return cost{}, err
	}
	took, err := c.wait()
	return took, errors.Join(err, c.close())
}
