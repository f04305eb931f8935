package fuzzcmd

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// result is the result of a call. One that stays as a watcher has not ended yet, and
// counts as a success.
type result struct {
	helpertest.Result
	watching bool
	status   []byte // of sync-init
}

func (r result) ok() bool { return r.watching || r.Exit == 0 }

var install = sync.OnceValues(func() (string, error) {
	path, _, err := fusetest.Install(os.Getenv("FUSERMOUNT_HELPER"), fusetest.Setuid) // the stage goes with the namespace
	return path, err
})

// program is the setuid helper.
func (w *world) program() string {
	w.Helper()
	path, err := install()
	w.check(err)
	return path
}

// run makes a call, and does its peer's part.
func (w *world) run(c *call) result {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	p, err := c.Start(ctx)
	if err != nil {
		cancel()
		w.Fatal(err)
	}
	var r result
	if c.sync && p.Socket() != nil && c.Socket != helpertest.Dgram {
		w.handshake(c, p, &r)
	}
	r.watching = w.settle(c, p, ctx)
	if r.watching && p.Socket() == nil { // it waits only for the daemon
		r.watching = false
		w.kill()
		if r.Dev != nil {
			w.check(r.Dev.Close())
			r.Dev = nil
		}
	}
	if !r.watching {
		defer cancel()
		early := r.Received
		r.Result = p.Wait()
		r.add(early)
		if r.Err != nil {
			w.Fatalf("%v: %s", r.Err, r.Stderr)
		}
		return r
	}
	if p.Socket() != nil {
		got, err := p.Receive(time.Time{}) // without waiting
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			w.Fatal(err)
		}
		r.add(got)
	}
	reused := slices.ContainsFunc(c.Deny, func(d helpertest.Denied) bool { return d.Name == "statmount" })
	w.watchers = append(w.watchers, &watcher{Proc: p, cancel: cancel, path: c.target.path, broken: c.broken, reused: reused})
	return r
}

// add adds what was received earlier.
func (r *result) add(got helpertest.Received) {
	if got.Dev != nil {
		r.Dev = got.Dev
	}
	r.NFDs += got.NFDs
	r.Bytes = append(got.Bytes, r.Bytes...)
	r.Truncated = r.Truncated || got.Truncated
}

// settle waits until the program has ended, or stays as a watcher.
func (w *world) settle(c *call, p *helpertest.Proc, ctx context.Context) (watching bool) {
	w.Helper()
	for {
		select {
		case <-p.Exited():
			return false
		case <-ctx.Done():
			w.Fatalf("neither ended nor watching: %s", c)
		case <-time.After(time.Millisecond):
		}
		if leaves(p.Pid()) {
			return true
		}
	}
}

// handshake is the caller's part of --sync-init.
func (w *world) handshake(c *call, p *helpertest.Proc, r *result) {
	w.Helper()
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	for err == nil && c.Prefill && got.NFDs == 0 && !got.EOF {
		got, err = p.Receive(time.Now().Add(fusetest.Patience)) // the filling
	}
	w.check(ignore(err, unix.ECONNRESET))
	r.add(got)
	if err != nil || got.NFDs == 0 {
		return
	}
	w.prepare(c, p, r)
	if c.peer.answer != nil {
		w.check(ignore(p.Send(c.peer.answer), unix.EPIPE)) // it may have been no --sync-init
	}
	switch {
	case c.peer.close:
		w.check(p.CloseSocket())
	case !c.peer.shut:
		got, err := p.Receive(time.Now().Add(fusetest.Patience))
		w.check(ignore(err, unix.ECONNRESET))
		r.status = got.Bytes
	}
}

// prepare is what the caller does with the device before the answer.
func (w *world) prepare(c *call, p *helpertest.Proc, r *result) {
	w.Helper()
	switch {
	case c.peer.die:
		w.check(r.Dev.Close())
		r.Dev = nil
	case c.peer.serve:
		w.check(fusetest.SyncInit(r.Dev))
		var tree fuseserver.Tree
		if c.target.path == w.at("f") {
			tree.FileRoot = []byte("content")
		}
		server := fuseserver.Serve(r.Dev, tree)
		w.Cleanup(func() { _ = server.Close() }) // the device may have been aborted
		r.Dev = nil
	case c.peer.shut:
		raw, err := p.Socket().SyscallConn()
		w.check(err, raw.Control(func(fd uintptr) { w.check(unix.Shutdown(int(fd), unix.SHUT_RD)) }))
	}
}

func ignore(err, known error) error {
	if errors.Is(err, known) {
		return nil
	}
	return err
}
