package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// worker is one user at one mountpoint.
type worker struct {
	t       *testing.T
	program string
	uid     uint32
	dir     string
	rand    *rand.Rand
	counts  *counts
}

// actions are what a worker does, in turn by chance. Each leaves nothing.
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
	{"waiting helpers killed", (*worker).twoPhasesKilled},
	{"watchers killed", (*worker).watcherKilled},
	{"mounts in two phases", (*worker).twoPhases},
	{"callers who went away", (*worker).gone},
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

// call prepares a mount, in one of the ways that there are.
func (w *worker) call(args ...string) fusetest.Call {
	c := fusetest.Call{Prog: w.program, UID: w.uid, GID: w.uid, Dir: "/"}
	options := []string{"fsname=soak", "subtype=soak", "ro", "x-soak", "noexec"}[w.rand.IntN(5)]
	c.Args = append([]string{"-o", options}, append(args, w.dir)...)
	if w.rand.IntN(3) == 0 {
		c.Socket = fusetest.Seqpacket
	}
	return c
}

// oldWay lets a call do without the new mount API, or the new table, at times.
func (w *worker) oldWay(c fusetest.Call) fusetest.Call {
	switch w.rand.IntN(4) {
	case 0:
		c.Deny = helpertest.NoFsopen
	case 1:
		c.Deny = helpertest.NoStatmount
	}
	return c
}

// mount mounts and serves.
func (w *worker) mount() (*fusetest.Server, error) {
	r := helpertest.RunWithin(context.Background(), w.oldWay(w.call()))
	if r.Err != nil {
		return nil, r.Err
	}
	if r.Exit != 0 || r.Dev == nil {
		return nil, fmt.Errorf("mount: exit %d: %s", r.Exit, r.Stderr)
	}
	return fusetest.Serve(r.Dev, fusetest.Tree{}), nil
}

// unmount runs -u with more flags.
func (w *worker) unmount(flags ...string) error {
	r := helpertest.RunWithin(context.Background(), w.unmountCall(append([]string{"-u"}, flags...)...))
	if r.Err == nil && r.Exit != 0 {
		return fmt.Errorf("unmount %v: exit %d: %s", flags, r.Exit, r.Stderr)
	}
	return r.Err
}

func (w *worker) unmountCall(flags ...string) fusetest.Call {
	return fusetest.Call{
		Prog: w.program, UID: w.uid, GID: w.uid, Dir: "/", Socket: fusetest.NoSocket, Args: append(flags, w.dir),
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
