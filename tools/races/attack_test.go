package races

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// attack is what happens between two system calls of the helper.
type attack struct {
	name string
	// setUp prepares the world, once; it may be nil.
	setUp func(w *world) error
	// strike makes the change. An error means that the kernel refused it.
	strike func(w *world) error
	// back reverses it later; nil: it stays.
	back func(w *world) error
	// names says that only names change, so that calls on descriptors cannot notice it.
	names bool
	// byName says that an unmount by name cannot notice the change after its last check:
	// another mount is there.
	byName bool
	// stack is the number of alice's mounts below the first one.
	stack int
	// covers says that root mounts on the helper's target, and that mount goes with it.
	covers bool
}

// swap exchanges a component of the path with a lure: in another mount namespace, where
// the helper's mountpoints are none (elsewhere), or in the helper's.
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
	r := helpertest.Call{Prog: w.program, UID: alice, GID: alice, Dir: "/", Socket: helpertest.NoSocket, Args: append(args, w.m)}.Run(ctx)
	if r.Err == nil && r.Exit != 0 {
		return unix.EPERM
	}
	return r.Err
}

// doorstep makes the mountpoint the root of a tmpfs that root has mounted and alice
// owns, like /run/user/UID.
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

// detachedAll detaches alice's mount, and the one below.
func detachedAll(w *world) error { return errors.Join(detached(w), detached(w)) }

// replaced detaches alice's mount, and has root mount in its place.
func replaced(w *world) error {
	if err := detached(w); err != nil {
		return err
	}
	return covered(w)
}

// changes are attacks that change the mount table instead of names.
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

// lure is what alice puts in the mountpoint's place: something that alice must not mount
// over, or must not unmount.
type lure struct {
	name string
	// make makes it at path, where nothing exists.
	make func(w *world, path string) error
	// link replaces a directory of alice's by a link into root's tree, where the lure is.
	link bool
}

var lures = []lure{
	{name: "directory", make: func(w *world, path string) error { return w.mkdir(path, alice) }},
	{name: "root's directory", make: func(w *world, path string) error { return w.mkdir(path, 0) }},
	{name: "sticky directory", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, 0), os.Chmod(path, 0o777|os.ModeSticky))
	}},
	{name: "root's tmpfs", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, 0), w.tmpfs(path, 0), w.guard(path))
	}},
	{name: "root's fuse", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, 0), w.fuse(path, 0), w.guard(path))
	}},
	{name: "bob's fuse", make: func(w *world, path string) error {
		return errors.Join(w.mkdir(path, bob), w.fuse(path, bob), w.guard(path))
	}},
	{name: "link to root's directory", link: true, make: func(*world, string) error { return nil }},
	{name: "link to root's tmpfs", link: true, make: func(w *world, path string) error {
		return errors.Join(w.tmpfs(path, 0), w.guard(path))
	}},
	{name: "link to bob's fuse", link: true, make: func(w *world, path string) error {
		return errors.Join(w.fuse(path, bob), w.guard(path))
	}},
}

// component is the part of the path that is exchanged, and the names below it.
type component struct {
	name, path, with string // below home
	below            []string
	// lures are the names of those that are tried, empty for all. The last component
	// reaches everything that the others reach.
	lures []string
}

var components = []component{
	{"last", middle + "/m", middle + "/x", nil, nil},
	{"parent", "top/mid/par", "top/mid/xpar", []string{"m"}, []string{
		"directory", "root's directory", "root's tmpfs", "bob's fuse", "link to root's tmpfs",
	}},
	{"middle", "top/mid", "top/xmid", []string{"par", "m"}, []string{
		"root's directory", "bob's fuse", "link to root's directory", "link to root's tmpfs",
	}},
}

func (c component) takes(l lure) bool { return len(c.lures) == 0 || slices.Contains(c.lures, l.name) }

// place makes the lure beside a component: below the same names, or by a link into root's
// tree.
func (l lure) place(w *world, c component) (a, b string, err error) {
	a, b = filepath.Join(w.home, c.path), filepath.Join(w.home, c.with)
	if l.link {
		return a, b, errors.Join(l.make(w, filepath.Join(w.roots, middle, "m")), os.Symlink(filepath.Join(w.roots, c.path), b))
	}
	path := b
	for _, name := range c.below {
		if err := w.mkdir(path, alice); err != nil {
			return a, b, err
		}
		path = filepath.Join(path, name)
	}
	return a, b, l.make(w, path)
}

// mode is one way through the helper.
type mode struct {
	name     string
	args     []string // before the mountpoint
	call     helpertest.Call
	from     string                         // the call from which on attacks are tried
	mount    bool                           // alice has a mount before
	dead     bool                           // its daemon is dead
	fails    bool                           // the helper exits 1
	byName   bool                           // it has to unmount by a name
	onlyLast bool                           // it is like another mode: one component is enough
	service  bool                           // the mount service is asked, and its worker is attacked, with fewer lures
	talk     func(p *helpertest.Proc) error // the caller's part, while the helper runs
}

// tooLong is an option with which any caller has the helper use mount(2).
var tooLong = "fsname=" + strings.Repeat("x", 300)

var noSocket = helpertest.Call{Socket: helpertest.NoSocket}

var modes = []mode{
	{name: "mount"},
	{name: "mount by mount(2)", args: []string{"-o", tooLong}},
	{name: "mount by mount(2), table as text", onlyLast: true, call: helpertest.Call{Deny: slices.Concat(helpertest.NoFsopen, helpertest.NoStatmount)}},
	{name: "failed send", call: helpertest.Call{HangUp: true}, fails: true},
	{name: "failed send, mount(2)", onlyLast: true, args: []string{"-o", tooLong}, call: helpertest.Call{HangUp: true}, fails: true},
	{name: "sync-init", args: []string{"--sync-init"}, talk: answer},
	{name: "-u", args: []string{"-u"}, call: noSocket, mount: true, byName: true},
	{name: "-u, table as text", onlyLast: true, args: []string{"-u"}, call: helpertest.Call{Socket: helpertest.NoSocket, Deny: helpertest.NoStatmount}, mount: true, byName: true},
	{name: "-u -z", args: []string{"-u", "-z"}, call: noSocket, mount: true},
	{name: "-u -z, table as text", onlyLast: true, args: []string{"-u", "-z"}, call: helpertest.Call{Socket: helpertest.NoSocket, Deny: helpertest.NoStatmount}, mount: true},
	{name: "auto_unmount", args: []string{"-o", "auto_unmount"}, from: "recvfrom", talk: die},
	{name: "auto_unmount, table as text", onlyLast: true, args: []string{"-o", "auto_unmount"}, call: helpertest.Call{Deny: helpertest.NoStatmount}, from: "recvfrom", talk: die},
	{name: "--auto-unmount", args: []string{"--auto-unmount"}, mount: true, dead: true, talk: hangUp},

	{name: "mount by the service", service: true, onlyLast: true},
	{name: "failed send, by the service", service: true, onlyLast: true, call: helpertest.Call{HangUp: true}, fails: true},
	{name: "-u by the service", service: true, onlyLast: true, args: []string{"-u"}, call: noSocket, mount: true, byName: true},
}

// answer is the part of sync-init's caller, who answers that the device is served.
func answer(p *helpertest.Proc) error {
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil || got.Dev == nil {
		return err
	}
	if err := p.Send([]byte{0}); err != nil {
		return err
	}
	return got.Dev.Close()
}

// die closes all that a daemon holds, as when it is killed.
func die(p *helpertest.Proc) error {
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil {
		return err
	}
	if got.Dev != nil {
		if err := got.Dev.Close(); err != nil {
			return err
		}
	}
	return p.CloseSocket()
}

func hangUp(p *helpertest.Proc) error { return p.CloseSocket() }
