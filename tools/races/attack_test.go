package races

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// attack is what happens between two system calls of the helper.
type attack struct {
	name string
	// setUp prepares the world, once; it may be nil.
	setUp func(w *world) error
	// strike makes the change. An error says that the kernel refused it.
	strike func(w *world) error
	// back takes it back later; nil: it stays.
	back func(w *world) error
	// names says that the change is of names alone, so that calls on
	// descriptors cannot notice it.
	names bool
	// byName says that who unmounts by a name cannot notice the change after his
	// last look: another mount stands there.
	byName bool
	// stack is how many mounts of hers lie below the one that she has to begin
	// with.
	stack int
	// covers says that root mounts something on the helper's target, which
	// goes along with it.
	covers bool
}

// swap exchanges a component of the path with a lure, where the mountpoints of
// the helper's namespace are none (from elsewhere), or here.
func swap(l lure, c component, elsewhere bool) attack {
	var a, b string
	flip := func(w *world) error {
		if elsewhere {
			return exchange(w.elsewhere, a, b)
		}
		return exchange(w.here, a, b)
	}
	return attack{
		name: c.name + " for " + l.name,
		setUp: func(w *world) (err error) {
			a, b, err = l.place(w, c)
			return err
		},
		strike: flip,
		back:   flip,
		names:  true,
		byName: elsewhere && !l.link,
	}
}

// helperRun is alice's own run of the helper beside the one that is stopped.
func helperRun(w *world, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	r := fusetest.Call{Prog: w.program, UID: alice, GID: alice, Dir: "/", Socket: fusetest.NoSocket, Args: append(args, w.m)}.Run(ctx)
	if r.Err == nil && r.Exit != 0 {
		return unix.EPERM
	}
	return r.Err
}

// doorstep makes the mountpoint the root of a mount of root's that belongs to
// alice, as /run/user/UID is.
func doorstep(w *world) error {
	if err := w.tmpfs(w.m, alice); err != nil {
		return err
	}
	return w.guard(w.m)
}

// covered has root mount on the mountpoint.
func covered(w *world) error {
	if err := w.tmpfs(w.m, 0); err != nil {
		return err
	}
	return w.guard(w.m)
}

func unmounted(w *world) error { return helperRun(w, "-u") }

func detached(w *world) error { return helperRun(w, "-u", "-z") }

// detachedAll takes away a mount of hers, and the one below.
func detachedAll(w *world) error { return errors.Join(detached(w), detached(w)) }

// replaced is what others do in the same moment: alice's mount goes, and root
// mounts in its place.
func replaced(w *world) error {
	if err := detached(w); err != nil {
		return err
	}
	return covered(w)
}

// changes are attacks on the mount table in place of names.
var changes = []attack{
	{name: "alice unmounts meanwhile", strike: unmounted},
	{name: "alice detaches meanwhile", strike: detached},
	{name: "alice unmounts meanwhile, on a mount of root's", setUp: doorstep, strike: unmounted},
	{name: "alice detaches meanwhile, on a mount of root's", setUp: doorstep, strike: detached},
	{name: "alice detaches two meanwhile, on a mount of root's", setUp: doorstep, stack: 1, strike: detachedAll},
	{name: "root mounts there meanwhile", strike: covered, byName: true, covers: true},
	{name: "root mounts there meanwhile, on a mount of root's", setUp: doorstep, strike: covered, byName: true, covers: true},
	{name: "alice detaches and root mounts there", strike: replaced, byName: true},
	{name: "alice detaches and root mounts there, on a mount of root's", setUp: doorstep, strike: replaced, byName: true},
}
