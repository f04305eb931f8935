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
	"github.com/go-fusermount/fusermount/internal/fusectl"
)

// byHelper has a helper mount.
func (m *mounting) byHelper() (*Mounted, error) {
	if m.r.typed.AllowOther {
		if err := otherAllowed(m.who.uid); err != nil {
			return nil, err
		}
	}
	path, err := findHelper(m.r.Helper)
	if err != nil {
		return nil, err
	}
	if m.r.SyncInit == nil {
		return m.classic(path)
	}
	// As libfuse does it: who does not know the flag, or cannot do it here, ends
	// without having sent a device, and is asked again without it.
	stderr := &hold{to: m.r.Stderr}
	mounted, refused, err := m.twoPhases(path, stderr)
	if refused && m.ctx.Err() == nil {
		return m.classic(path)
	}
	stderr.release()
	return mounted, err
}

// classic runs a helper that mounts and then sends the device.
func (m *mounting) classic(path string) (*Mounted, error) {
	p, err := startProcess(m.ctx, path, m.r.arguments(m.was.path), m.r.Stderr)
	if err != nil {
		return nil, err
	}
	m.helper = p
	// The device is there when the helper has ended. To be woken for it before
	// that would only take the processor from the helper.
	device := -1
	if !m.r.typed.AutoUnmount {
		err = p.succeeded()
	}
	if err == nil {
		device, err = p.receive()
	}
	if err == nil {
		err = m.ended(p)
	}
	mounted, err := m.finish(p, device, err)
	if err != nil {
		return nil, err
	}
	if err := m.callBack(mounted.file); err != nil {
		return nil, also(err, mounted.Close())
	}
	return mounted, nil
}

// ended waits for the end of a helper that has done its work, and for one that
// stays to watch it does not. It must have sent no more than it should.
func (m *mounting) ended(p *process) error {
	if m.r.typed.AutoUnmount {
		return nil
	}
	if err := p.succeeded(); err != nil {
		return err
	}
	extra, err := p.receive()
	if errors.Is(err, io.EOF) {
		return nil
	}
	closeAll(extra)
	return because("it sent more than one device", ErrBadReply)
}

// succeeded waits for the end, and wants it to be a good one. The error is io.EOF
// for another: failure finds words for it.
func (p *process) succeeded() error {
	err := p.wait()
	if err == nil && p.exitStatus() != 0 {
		err = io.EOF
	}
	return err
}

// finish makes a Mounted of a device that a helper has sent, or tidies up after
// it: err says how it went so far, io.EOF that there was no device.
func (m *mounting) finish(p *process, device int, err error) (*Mounted, error) {
	if err == nil {
		err = checkDevice(device)
	}
	if err != nil {
		err = m.tidy(p, device, err)
		closeAll(device)
		return nil, err
	}
	return m.handedOver(p, newDevice(device), device), nil
}

// handedOver makes a Mounted of a device that is mounted.
func (m *mounting) handedOver(p *process, file *os.File, device int) *Mounted {
	entry, found := servedBy(device, m.r, m.was, m.who.uid)
	mounted := m.mounted(file, entry, false)
	mounted.elsewhere = !found && isMounted(device)
	m.helper = nil // what fails from here on is not its fault
	if m.r.typed.AutoUnmount {
		p.alarm.close()
		mounted.watcher = p
	} else {
		p.end(nil)
	}
	return mounted
}

// checkDevice wants what a helper has sent to be a mounted fuse device.
func checkDevice(device int) error {
	switch {
	case !fusectl.IsDevice(device):
		return because("it sent something that is not the fuse device", ErrBadReply)
	case !isMounted(device):
		return because("it sent a device that is not mounted", ErrBadReply)
	}
	return nil
}

// tidy ends a helper that failed or is not wanted any more, and takes back what
// it has mounted. A helper that ends by itself with an error does that itself;
// of any other it is found out by its device or, where it sent none, by what has
// appeared at the mountpoint. device stays open, and may be -1.
func (m *mounting) tidy(p *process, device int, err error) error {
	if errors.Is(err, io.EOF) { // its words are worth the time that the caller has
		if waited := p.wait(); waited != nil {
			err = waited
		}
	}
	entry, found := byConnection(device)
	p.end(func(late int) {
		if !found {
			entry, found = byConnection(late)
		}
	})
	if !found && (!errors.Is(err, io.EOF) || p.exitStatus() <= 0) {
		entry, found = m.was.new(m.r, m.who.uid)
	}
	if errors.Is(err, io.EOF) {
		err = p.failure()
	} else if errors.Is(err, fdpass.ErrReply) {
		err = because(err.Error(), ErrBadReply)
	}
	if found {
		err = also(err, m.undo(entry))
	}
	return err
}

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
	if err == nil && !fusectl.IsDevice(device) {
		err = also(because("it sent something that is not the fuse device", ErrBadReply), unix.Close(device))
	}
	if err != nil {
		nothing := errors.Is(err, io.EOF)
		err = m.tidy(p, -1, err)
		return nil, nothing && p.exitStatus() > 0, err
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
	if err := p.mountStatus(); err != nil {
		return nil, err
	}
	if err := m.ended(p); err != nil {
		return nil, err
	}
	if !isMounted(device) {
		return nil, because("its device is not mounted", ErrBadReply)
	}
	mounted := m.handedOver(p, file, device)
	mounted.sync = sync
	return mounted, nil
}

// mountStatus waits for the four bytes that say how the second phase went: 0 or the
// negative of an errno.
func (p *process) mountStatus() error {
	var buf [4]byte
	if err := p.receiveFull(buf[:]); err != nil {
		return err
	}
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(buf[:])))
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
