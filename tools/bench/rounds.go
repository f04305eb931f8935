package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func part(title, mountpoint string, a, b *helper, runs int) error {
	a.mount, a.unmounts, b.mount, b.unmounts = nil, nil, nil, nil
	for i := range runs + 3 {
		for _, h := range []*helper{a, b} {
			if err := h.round(mountpoint, i >= 3); err != nil {
				return fmt.Errorf("%s: %w", h.name, err)
			}
		}
	}
	fmt.Printf("%s, %d rounds each, medians\n", title, runs)
	fmt.Printf("  %-8s %9s %9s %7s\n", "", "ours", "C", "ratio")
	row("mount", a.mount, b.mount)
	row("unmount", a.unmounts, b.unmounts)
	return nil
}

func row(name string, a, b []time.Duration) {
	ma, mb := median(a), median(b)
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	fmt.Printf("  %-8s %7dus %7dus %7.2f\n", name, ma.Microseconds(), mb.Microseconds(), median(ratios))
}

func median[T int64 | time.Duration | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// round mounts and unmounts once.
func (h *helper) round(mountpoint string, counts bool) error {
	c, err := h.start(mountpoint)
	if err != nil {
		return err
	}
	// Most callers wait for the exit before they read.
	mount, err := c.wait()
	if err == nil {
		err = c.receive()
	}
	if err != nil {
		return errors.Join(err, c.close())
	}
	unmount, err := h.unmount(mountpoint)
	if counts {
		h.mount = append(h.mount, mount)
		h.unmounts = append(h.unmounts, unmount)
	}
	return errors.Join(err, c.close())
}

// unmount runs -u.
func (h *helper) unmount(mountpoint string) (time.Duration, error) {
	c, err := h.start("-u", mountpoint)
	if err != nil {
		return 0, err
	}
	took, err := c.wait()
	return took, errors.Join(err, c.close())
}

// call is one run of a helper, and what its caller has of it.
type call struct {
	process *os.Process
	args    []string
	began   time.Time
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
	// The C helper's watcher complains of a mount that is gone already.
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]))
	}
	defer null.Close()
	runtime.GC() // not while the clock runs
	c := &call{args: args, socket: fds[0], device: -1, began: time.Now()}
	c.process, err = os.StartProcess(h.path, append([]string{h.path}, args...), &os.ProcAttr{
		Env:   []string{"_FUSE_COMMFD=3"},
		Files: []*os.File{null, null, null, theirs},
		Sys:   &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}},
	})
	if err != nil {
		return nil, errors.Join(err, unix.Close(c.socket))
	}
	return c, nil
}

// wait waits for the end, and says how long the run took.
func (c *call) wait() (time.Duration, error) {
	state, err := c.process.Wait()
	took := time.Since(c.began)
	if err == nil && !state.Success() {
		err = fmt.Errorf("%v: %v", c.args, state)
	}
	return took, err
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

// answer says that the device is served, and reads how the mount went.
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
