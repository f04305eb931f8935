package soak

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

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

// start starts a call that stays, and receives the device. stop ends the
// program if it does not end by itself.
func start(c fusetest.Call) (p *fusetest.Proc, dev fusetest.Received, stop func(), err error) {
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

// ended waits for the end of a call, and wants a status.
func ended(p *fusetest.Proc, status int) error {
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
	server := fusetest.Serve(got.Dev, fusetest.Tree{})
	return errors.Join(server.Close(), p.CloseSocket(), ended(p, 0), w.empty())
}

func (w *worker) late() error {
	p, got, stop, err := start(w.call("-o", "auto_unmount"))
	defer stop()
	if err != nil {
		return err
	}
	server := fusetest.Serve(got.Dev, fusetest.Tree{})
	return errors.Join(w.unmount(), server.Close(), p.CloseSocket(), ended(p, 0), w.empty())
}

// helperKilled ends a helper that mounts.
func (w *worker) helperKilled() error {
	ctx, stop := context.WithTimeout(context.Background(), fusetest.Patience)
	defer stop()
	p, err := w.oldWay(w.call()).Start(ctx)
	if err != nil {
		return err
	}
	return errors.Join(w.kill(p), w.rest())
}

func (w *worker) twoPhases() error {
	p, got, stop, err := start(w.call("--sync-init"))
	defer stop()
	if err != nil {
		return err
	}
	err = fusetest.SyncInit(got.Dev)
	if err != nil && !errors.Is(err, unix.ENOTTY) { // before Linux 6.18
		return errors.Join(err, got.Dev.Close())
	}
	server := fusetest.Serve(got.Dev, fusetest.Tree{})
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
