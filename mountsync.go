package fusermount

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/fusedev"
)

// twoPhases runs a helper with --sync-init: it sends the device, mounts when it
// is told that the device is served, and then sends how that went. refused says
// that it ended before it sent anything.
func (m *mounting) twoPhases(path string, stderr io.Writer) (mounted *Mounted, refused bool, err error) {
	p, err := startProcess(m.ctx, path, m.r.arguments(m.was.path, "--sync-init"), stderr)
	if err != nil {
		return nil, false, err
	}
	m.helper = p
	device, err := p.receive()
	if err == nil && !fusedev.Is(device) {
		err = also(because("it sent something that is not the fuse device", ErrBadReply), unix.Close(device))
	}
	if err != nil {
		nothing := errors.Is(err, io.EOF)
		err = m.tidy(p, -1, err)
		return nil, nothing && (p.lost || p.exitStatus() > 0), err
	}
	file := newDevice(device)
	sync := askSync(device)
	if sync {
		// tidy has no look at the caller's error, which may be any, also io.EOF.
		if err := m.callBack(file); err != nil {
			return nil, false, also(err, m.tidy(p, device, nil), file.Close())
		}
	}
	if mounted, err = m.secondPhase(p, file, device, sync); err != nil {
		err = m.tidy(p, device, err)
		_ = file.Close() // nothing was written to it
		return nil, false, err
	}
	if !mounted.sync {
		err = m.callBack(file)
	}
	if err != nil {
		return nil, false, also(err, mounted.Close())
	}
	return mounted, false, nil
}

func (m *mounting) secondPhase(p *process, file *os.File, device int, sync bool) (*Mounted, error) {
	if err := p.send(); err != nil {
		return nil, io.EOF // it has ended: its words say why
	}
	var status [4]byte
	err := p.receiveFull(status[:])
	if ended := p.alarm.err(); err != nil && ended != nil && sync {
		return nil, also(ended, p.refuse(device))
	}
	if err == nil {
		err = p.mountStatus(status)
	}
	if err != nil {
		return nil, err
	}
	if !fusedev.IsMounted(device) {
		return nil, because("its device is not mounted", ErrBadReply)
	}
	mounted := m.handedOver(p, file, device)
	mounted.sync = sync
	return mounted, nil
}

// refuse has a second phase come to its end that nobody waits for any more. The
// caller reads the device by now, and nothing but a mount ends that read. So the
// helper, for which the end of its socket is a no, goes on until it has the
// kernel's.
func (p *process) refuse(device int) error {
	again, err := unix.FcntlInt(uintptr(device), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	go refuseInit(again, p.over)
	p.alarm.close() // the context has had its say
	_ = p.poll(p.socket, time.Now().Add(mercy), func(ended bool) bool {
		_, err := fdpass.ReceiveSome(p.socket, make([]byte, 4))
		return ended || !errors.Is(err, unix.EAGAIN)
	}) // how it ended is for tidy to find out
	return nil
}

// mountStatus says how the second phase went by the four bytes that the helper
// sends in the end: 0 or the negative of an errno.
func (p *process) mountStatus(status [4]byte) error {
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(status[:])))
	if errno == 0 {
		return nil
	}
	// What it says is better than a number, and it has nothing left to do.
	_ = p.waitUntil(time.Now().Add(grace))
	p.said.finish()
	text := fmt.Sprintf("it could not mount: %v", errno)
	if said := decisive(p.said.messages()); said != nil {
		return because(said.Error(), said, errno)
	}
	return because(text, errno)
}
