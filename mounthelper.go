package fusermount

import (
	"errors"
	"io"
	"os"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/fusedev"
)

// byHelper has a helper mount.
func (m *mounting) byHelper() (*Mounted, error) {
	if err := m.otherAllowed(); err != nil {
		return nil, err
	}
	path, err := findHelper(m.ctx, m.r.Helper)
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
	if refused {
		if err := whyEnded(m.ctx); err != nil {
			m.helper = nil // what it said does not matter
			return nil, err
		}
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
	device, err := p.receive()
	mounted, err := m.finish(p, device, err)
	if err != nil {
		return nil, err
	}
	if err := m.callBack(mounted.file); err != nil {
		return nil, also(err, mounted.Close())
	}
	return mounted, nil
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

// handedOver makes a Mounted of a device that is mounted. Nothing that its helper does
// from here on changes that, and nobody waits for the helper's end.
func (m *mounting) handedOver(p *process, file *os.File, device int) *Mounted {
	entry, found := servedBy(device, m.r, m.was, m.who.uid)
	mounted := m.mounted(file, entry, false)
	mounted.elsewhere = !found && fusedev.IsMounted(device)
	m.helper = nil // what fails from here on is not its fault
	if m.r.typed.AutoUnmount {
		p.alarm.close()
		mounted.watcher = p
	} else {
		p.dismiss()
		mounted.dismissed = p.over
	}
	return mounted
}

// checkDevice wants what a helper has sent to be a mounted fuse device.
func checkDevice(device int) error {
	switch {
	case !fusedev.Is(device):
		return because("it sent something that is not the fuse device", ErrBadReply)
	case !fusedev.IsMounted(device):
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
