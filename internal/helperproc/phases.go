//go:build linux

package helperproc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/fuseerr"
	"github.com/go-fusermount/fusermount/internal/fuseinit"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// MountNow tells a helper that was run with --sync-init that its device is served, and
// waits until it has mounted. The error is io.EOF if the helper has ended, and the
// context's if that has ended before the helper answered.
func (p *Proc) MountNow() error {
	if err := fdpass.SendByte(p.socket); err != nil {
		return io.EOF // the helper has ended, and its messages say why
	}
	var status [4]byte
	buf := status[:]
	err := p.receive(func() error {
		for len(buf) > 0 {
			n, err := receiveSome(p.socket, buf)
			if err != nil {
				return err
			}
			buf = buf[n:]
		}
		return nil
	})
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(status[:])))
	if err != nil || errno == 0 {
		return err
	}
	// The helper has nothing left to do, and its message is better than a number.
	_ = p.waitUntil(time.Now().Add(stopTimeout))
	p.output.finish()
	if err := classify(p.Messages()); err != nil {
		return fuseerr.Wrap(err.Error(), err, errno)
	}
	return fuseerr.Wrap(fmt.Sprintf("it could not mount: %v", errno), errno)
}

// RefuseInit ends the mount for which MountNow has waited, after the end of the context.
// The caller reads the device by then, and nothing but a mount ends that read. The helper
// takes the end of its socket for a no, so this waits until the kernel has refused the
// mount. The result is to be found by what has become of the device.
func (p *Proc) RefuseInit(device int) error {
	dup, err := unix.FcntlInt(uintptr(device), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	go fuseinit.Refuse(dup, p.gone)
	p.ctx.close() // it counts no longer
	_ = p.poll(p.socket, time.Now().Add(killTimeout), func(ended bool) bool {
		_, err := receiveSome(p.socket, make([]byte, 4))
		return ended || !errors.Is(err, unix.EAGAIN)
	})
	return nil
}

// WaitWatching waits until a helper that was run to watch a mount either has closed its
// streams and runs on, which is how it begins to watch, or has ended, which is an error.
// Nothing tells when the helper of a wrapper has closed its streams, so after a while
// that is assumed.
func (p *Proc) WaitWatching() error {
	ended := false
	p.readFrom = time.Time{}
	err := p.poll(-1, time.Now().Add(killTimeout), func(e bool) bool {
		ended = e
		return ended || p.output.closed() && !p.exiting()
	})
	switch {
	case ended:
		p.End(nil)
		return p.Reason()
	case errors.Is(err, errTimeout):
		return nil
	}
	return err
}

// exiting reports whether the helper is about to end: it closes its streams then, too.
func (p *Proc) exiting() bool {
	text, err := rawfile.Text("/proc/" + strconv.Itoa(p.pid) + "/stat")
	if err != nil {
		return true
	}
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]) // the name may hold anything
	const state, flags, pfExiting = 0, 6, 0x4                           // proc_pid_stat(5), linux/sched.h
	if len(fields) <= flags || fields[state] == "Z" {
		return true
	}
	n, err := strconv.ParseUint(fields[flags], 10, 64)
	return err != nil || n&pfExiting != 0
}
