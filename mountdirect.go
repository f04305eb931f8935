package fusermount

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// directly mounts without a helper. Its system calls may wait for daemons of
// other file systems, and with SyncInit for our own, so none of them is made in
// the goroutine that the context is to set free.
func (m *mounting) directly() (*Mounted, error) {
	if !m.who.admin {
		return nil, because("mounting without a helper takes CAP_SYS_ADMIN: "+unix.EPERM.Error(), unix.EPERM)
	}
	watcher := ""
	if m.r.typed.AutoUnmount {
		var err error
		if watcher, err = findHelper(m.ctx, m.r.Helper); err != nil {
			return nil, err
		}
	}
	d, err := unlessCalm(m, m.ctx, func() (*direct, error) { return prepareDirect(m.r, m.was, m.who) },
		func(d *direct, err error) {
			if err == nil {
				d.giveUp()
			}
		})
	if err != nil {
		return nil, err
	}
	create := m.createServed
	if !d.sync {
		create = m.createAndServe
	}
	entry, err := create(d)
	if err != nil {
		return nil, err
	}
	mounted := m.mounted(d.file, entry, true)
	mounted.sync = d.sync
	if watcher != "" {
		err = m.watchDirect(mounted, watcher)
	}
	if err != nil {
		return nil, also(err, mounted.Close())
	}
	return mounted, nil
}

// createAndServe has the kernel make the mount, and then the caller serve it.
// When it fails, nothing is left of d.
func (m *mounting) createAndServe(d *direct) (mtab.Entry, error) {
	entry, err := m.create(m.ctx, d)
	if err != nil {
		return entry, err
	}
	if err := m.callBack(d.file); err != nil {
		return entry, also(err, m.undo(entry), d.file.Close())
	}
	return entry, nil
}

// createServed has the caller serve the device, and then the kernel make the
// mount, for which it waits for an answer. From the moment the caller may read
// the device, a mount has to be tried: nothing else would end that read. So when
// the context ends, the kernel gets its answer from here.
func (m *mounting) createServed(d *direct) (mtab.Entry, error) {
	if err := m.callBack(d.file); err != nil {
		d.giveUp()
		return mtab.Entry{}, err
	}
	again, err := unix.FcntlInt(uintptr(d.device), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		d.giveUp()
		return mtab.Entry{}, err
	}
	bounded, cancel := context.WithCancel(context.WithoutCancel(m.ctx))
	defer cancel()
	stop := context.AfterFunc(m.ctx, func() {
		time.AfterFunc(mercy, cancel)
		refuseInit(again, d.made)
	})
	entry, err := m.create(bounded, d)
	if stop() {
		_ = unix.Close(again) // a copy
	}
	if m.ctx.Err() == nil || bounded.Err() != nil {
		return entry, err
	}
	if err == nil { // the daemon was faster
		err = also(m.undo(entry), d.file.Close())
	}
	return entry, also(whyEnded(m.ctx), err)
}

// create makes and attaches the mount. When it fails, now or after the
// context's end, nothing is left of it and of d.
func (m *mounting) create(ctx context.Context, d *direct) (mtab.Entry, error) {
	f := func() (mtab.Entry, error) {
		entry, err := d.mount()
		close(d.made)
		d.release()
		if err != nil {
			d.giveUp()
		}
		return entry, err
	}
	late := func(entry mtab.Entry, err error) {
		if err == nil {
			_ = m.undo(entry) // nobody is there to be told
			d.giveUp()
		}
	}
	if d.sync {
		return await(ctx, f, late)
	}
	return unlessCalm(m, ctx, f, late)
}

// unlessCalm is await, but where nothing that f does asks a daemon.
func unlessCalm[T any](m *mounting, ctx context.Context, f func() (T, error), late func(T, error)) (T, error) {
	if m.was.calm && ctx.Err() == nil {
		return f()
	}
	return await(ctx, f, late)
}

// watchDirect starts a helper that watches a mount which was made without it,
// as libfuse does.
func (m *mounting) watchDirect(mounted *Mounted, path string) error {
	p, err := startProcess(m.ctx, path, []string{"--auto-unmount", "--", mounted.Mountpoint()}, m.r.Stderr)
	if err != nil {
		return err
	}
	m.helper = p
	if err := p.watches(); err != nil {
		p.end(nil)
		return err
	}
	p.alarm.close()
	mounted.watcher = p
	return nil
}

// watches waits until a helper either has let go of its streams and goes on,
// which is how a watch begins, or ends. Nothing tells when the helper of a wrapper
// has, so that one is believed after a while.
func (p *process) watches() error {
	late := time.Now().Add(mercy)
	ended := false
	p.listen = time.Time{}
	err := p.poll(-1, late, func(e bool) bool {
		ended = e
		return ended || p.said.closed() && !p.exiting()
	})
	switch {
	case ended:
		p.end(nil)
		return p.failure()
	case errors.Is(err, errLate):
		return nil
	}
	return err
}

// exiting says whether a helper is about to end: it closes its streams then, too.
func (p *process) exiting() bool {
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
