package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// kill ends a helper at some moment, if it has not ended by then. How it ended by
// itself has to be one of the two ways that there are.
func (w *worker) kill(p *fusetest.Proc) error {
	time.Sleep(time.Duration(w.rand.IntN(4000)) * time.Microsecond) // the moment is by chance
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

// rest unmounts what a killed helper may have left: dead or not, it is the
// user's.
func (w *worker) rest() error {
	_, found, err := fusetest.TopMount(w.dir)
	if err == nil && found {
		err = w.unmount("-z")
	}
	return errors.Join(err, w.empty())
}

// unmountKilled ends a helper that unmounts. Between the unmount and the table
// it leaves a line.
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

// twoPhasesKilled ends a helper that waits for its caller, for a daemon that
// does not answer the kernel, or mounts.
func (w *worker) twoPhasesKilled() error {
	p, got, stop, err := start(w.call("--sync-init"))
	defer stop()
	if err != nil {
		return err
	}
	err = fusetest.SyncInit(got.Dev)
	if err != nil && !errors.Is(err, unix.ENOTTY) { // before Linux 6.18
		return errors.Join(err, got.Dev.Close())
	}
	opts := fusetest.Options{HangBeforeInit: w.rand.IntN(2) == 0}
	server := fusetest.ServeOptions(got.Dev, fusetest.Tree{}, opts)
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

// inUse has a directory open in the mount: it goes lazily, and in no other way.
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
