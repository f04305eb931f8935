package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// worker is one user at one mountpoint.
type worker struct {
	t       *testing.T
	program string
	env     []string
	uid     uint32
	dir     string
	rand    *rand.Rand
	counts  *counts
}

// actions are what a worker does, in random order. Each leaves nothing.
var actions = []struct {
	name string
	do   func(*worker) error
}{
	{"mounted and unmounted", (*worker).plain},
	{"daemons killed", (*worker).killed},
	{"hung and detached", (*worker).hung},
	{"watchers that cleaned up", (*worker).watched},
	{"watchers that came too late", (*worker).late},
	{"in use and detached", (*worker).inUse},
	{"mounting helpers killed", (*worker).helperKilled},
	{"unmounting helpers killed", (*worker).unmountKilled},
	{"waiting helpers killed", (*worker).mountSyncInitKilled},
	{"watchers killed", (*worker).watcherKilled},
	{"mounts with --sync-init", (*worker).mountSyncInit},
	{"callers that went away", (*worker).gone},
}

// work goes on until the time is over or something is wrong.
func (w *worker) work(ctx context.Context) {
	for ctx.Err() == nil {
		a := actions[w.rand.IntN(len(actions))]
		if err := a.do(w); err != nil {
			w.t.Errorf("%s, uid %d: %v", a.name, w.uid, err)
			return
		}
		w.counts.add(a.name)
	}
}

// call prepares a mount with random options.
func (w *worker) call(args ...string) helpertest.Call {
	c := helpertest.Call{Prog: w.program, Env: w.env, UID: w.uid, GID: w.uid, Dir: "/"}
	options := []string{"fsname=soak", "subtype=soak", "ro", "x-soak", "noexec"}[w.rand.IntN(5)]
	c.Args = append([]string{"-o", options}, append(args, w.dir)...)
	if w.rand.IntN(3) == 0 {
		c.Socket = helpertest.Seqpacket
	}
	return c
}

// oldWay has some calls work without the new mount API, or without statmount.
func (w *worker) oldWay(c helpertest.Call) helpertest.Call {
	switch w.rand.IntN(4) {
	case 0:
		c.Deny = helpertest.NoFsopen
	case 1:
		c.Deny = helpertest.NoStatmount
	}
	return c
}

// mount mounts and serves.
func (w *worker) mount() (*fuseserver.Server, error) {
	r := helpertest.RunWithin(context.Background(), w.oldWay(w.call()))
	if r.Err != nil {
		return nil, r.Err
	}
	if r.Exit != 0 || r.Dev == nil {
		return nil, fmt.Errorf("mount: exit %d: %s", r.Exit, r.Stderr)
	}
	return fuseserver.Serve(r.Dev, fuseserver.Tree{}), nil
}

// unmount runs -u with more flags.
func (w *worker) unmount(flags ...string) error {
	r := helpertest.RunWithin(context.Background(), w.unmountCall(append([]string{"-u"}, flags...)...))
	if r.Err == nil && r.Exit != 0 {
		return fmt.Errorf("unmount %v: exit %d: %s", flags, r.Exit, r.Stderr)
	}
	return r.Err
}

func (w *worker) unmountCall(flags ...string) helpertest.Call {
	return helpertest.Call{
		Prog: w.program, Env: w.env, UID: w.uid, GID: w.uid, Dir: "/", Socket: helpertest.NoSocket,
		Args: append(flags, w.dir),
	}
}

// empty wants nothing mounted at the worker's place.
func (w *worker) empty() error {
	line, found, err := fusetest.TopMount(w.dir)
	if err == nil && found {
		err = errors.New("still mounted: " + line.FSType)
	}
	return err
}

func (w *worker) plain() error {
	server, err := w.mount()
	if err != nil {
		return err
	}
	return errors.Join(w.unmount(), server.Close(), w.empty())
}

func (w *worker) killed() error {
	server, err := w.mount()
	if err != nil {
		return err
	}
	return errors.Join(server.Close(), w.unmount(), w.empty())
}

func (w *worker) hung() error {
	server, err := w.mount()
	if err != nil {
		return err
	}
	server.Hang()
	return errors.Join(w.unmount("-z"), w.empty(), server.Close())
}

// start starts a call that stays, and receives the device. stop kills the program if it
// does not end by itself.
func start(c helpertest.Call) (p *helpertest.Proc, dev helpertest.Received, stop func(), err error) {
	ctx, stop := context.WithTimeout(context.Background(), fusetest.Patience)
	if p, err = c.Start(ctx); err != nil {
		return nil, dev, stop, err
	}
	dev, err = p.Receive(time.Now().Add(fusetest.Patience))
	if err == nil && dev.Dev == nil {
		err = fmt.Errorf("no device: %s", p.Wait().Stderr)
	}
	return p, dev, stop, err
}

// startSyncInit starts a call with --sync-init and serves its device.
func (w *worker) startSyncInit(opts fuseserver.Options) (p *helpertest.Proc, s *fuseserver.Server, stop func(), err error) {
	p, got, stop, err := start(w.call("--sync-init"))
	if err != nil {
		return nil, nil, stop, err
	}
	err = fusetest.SyncInit(got.Dev)
	if err != nil && !errors.Is(err, unix.ENOTTY) { // before Linux 6.18
		return nil, nil, stop, errors.Join(err, got.Dev.Close())
	}
	return p, fuseserver.ServeOptions(got.Dev, fuseserver.Tree{}, opts), stop, nil
}

// ended waits for the end of a call, and wants this exit status.
func ended(p *helpertest.Proc, status int) error {
	r := p.Wait()
	if r.Err != nil || r.Exit != status {
		return fmt.Errorf("exit %d, signal %v, %w: %s", r.Exit, r.Signal, r.Err, r.Stderr)
	}
	return nil
}

func (w *worker) watched() error {
	p, got, stop, err := start(w.oldWay(w.call("-o", "auto_unmount")))
	defer stop()
	if err != nil {
		return err
	}
	server := fuseserver.Serve(got.Dev, fuseserver.Tree{})
	return errors.Join(server.Close(), p.CloseSocket(), ended(p, 0), w.empty())
}

func (w *worker) late() error {
	p, got, stop, err := start(w.call("-o", "auto_unmount"))
	defer stop()
	if err != nil {
		return err
	}
	server := fuseserver.Serve(got.Dev, fuseserver.Tree{})
	return errors.Join(w.unmount(), server.Close(), p.CloseSocket(), ended(p, 0), w.empty())
}

// helperKilled kills a helper that mounts.
func (w *worker) helperKilled() error {
	ctx, stop := context.WithTimeout(context.Background(), fusetest.Patience)
	defer stop()
	p, err := w.oldWay(w.call()).Start(ctx)
	if err != nil {
		return err
	}
	return errors.Join(w.kill(p), w.rest())
}

func (w *worker) mountSyncInit() error {
	p, server, stop, err := w.startSyncInit(fuseserver.Options{})
	defer stop()
	if err != nil {
		return err
	}
	if err := p.Send([]byte{0}); err != nil {
		return errors.Join(err, server.Close())
	}
	return errors.Join(ended(p, 0), w.unmount(), server.Close(), w.empty())
}

func (w *worker) gone() error {
	p, got, stop, err := start(w.call("--sync-init"))
	defer stop()
	if err != nil {
		return err
	}
	return errors.Join(p.CloseSocket(), ended(p, 1), got.Dev.Close(), w.empty())
}

// kill kills a helper at a random moment, unless it has ended. Then its exit status must
// be 0 or 1.
func (w *worker) kill(p *helpertest.Proc) error {
	time.Sleep(time.Duration(w.rand.IntN(4000)) * time.Microsecond) // a random moment
	err := p.Signal(unix.SIGKILL)
	r := p.Wait()
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, unix.ESRCH) {
		err = nil
	}
	if r.Dev != nil {
		err = errors.Join(err, r.Dev.Close())
	}
	if r.Signal != unix.SIGKILL && r.Exit != 0 && r.Exit != 1 {
		err = errors.Join(err, fmt.Errorf("exit %d, signal %v: %s", r.Exit, r.Signal, r.Stderr))
	}
	return errors.Join(err, r.Err)
}

// rest unmounts what a killed helper may have left, which is the user's.
func (w *worker) rest() error {
	_, found, err := fusetest.TopMount(w.dir)
	if err == nil && found {
		err = w.unmount("-z")
	}
	return errors.Join(err, w.empty())
}

// unmountKilled kills a helper that unmounts. Between the unmount and the change of the
// table it leaves a line.
func (w *worker) unmountKilled() error {
	server, err := w.mount()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), fusetest.Patience)
	defer stop()
	c := w.unmountCall([]string{"-u", "-uz"}[w.rand.IntN(2)])
	p, err := c.Start(ctx)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	w.counts.tear()
	return errors.Join(w.kill(p), w.rest(), server.Close())
}

// watcherKilled leaves the mount to its owner.
func (w *worker) watcherKilled() error {
	p, got, stop, err := start(w.oldWay(w.call("-o", "auto_unmount")))
	defer stop()
	if err != nil {
		return err
	}
	return errors.Join(got.Dev.Close(), w.kill(p), w.rest())
}

// mountSyncInitKilled kills a helper that waits for its caller, for a daemon that does not
// answer the kernel, or mounts.
func (w *worker) mountSyncInitKilled() error {
	p, server, stop, err := w.startSyncInit(fuseserver.Options{HangBeforeInit: w.rand.IntN(2) == 0})
	defer stop()
	if err != nil {
		return err
	}
	err = p.Send([]byte{0})
	// A daemon that was never mounted ends with an error of its own.
	return errors.Join(err, w.kill(p), w.rest(), unmounted(server.Close()))
}

func unmounted(err error) error {
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// inUse has a directory open in the mount, which only a lazy unmount can unmount.
func (w *worker) inUse() error {
	server, err := w.mount()
	if err != nil {
		return err
	}
	fd := -1
	err = fusetest.AsUser(w.uid, w.uid, func() (err error) {
		fd, err = unix.Open(w.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return errors.Join(err, server.Close())
	}
	r := helpertest.RunWithin(context.Background(), w.unmountCall("-u"))
	err = r.Err
	if r.Exit != 1 {
		err = errors.Join(err, fmt.Errorf("unmounted while it is in use: exit %d", r.Exit))
	}
	return errors.Join(err, w.unmount("-z"), unix.Close(fd), server.Close(), w.empty())
}
