package faults

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// mode is one way through the helper.
type mode struct {
	name    string
	args    []string // before the mountpoint
	alone   bool     // there is no mountpoint
	call    helpertest.Call
	file    bool                                   // the mountpoint is a regular file
	closed  bool                                   // alice has no write permission on it
	utab    bool                                   // libmount's table exists
	mtab    bool                                   // /etc/mtab is a regular file
	mounted bool                                   // alice has a mount before
	dead    bool                                   // its daemon has died
	fusectl bool                                   // the control file system of FUSE is mounted
	talk    func(r *run, p *helpertest.Proc) error // the caller's part, while the helper runs
	silent  bool                                   // alice's daemon does not answer
	goal    goal

	// whole tries every call from the first one on, with every error. The other modes
	// start after the command line was read, which is the same in all of them, and use
	// one error where the helper treats errors alike.
	whole bool
	start bool // only the start of the Go runtime
	holds bool // includes the calls that block signals
}

// goal is the result of a mode when nothing fails.
type goal int

const (
	mounts   goal = iota // a mount, whose device the caller has received
	unmounts             // no mount
	watches              // no mount: the watcher has unmounted it
	answers              // text on standard output
	fails                // an error, and no mount
)

func with(deny ...[]helpertest.Denied) helpertest.Call {
	return helpertest.Call{Deny: slices.Concat(deny...)}
}

// alone is a call without a socket, as from a shell.
func alone(deny ...[]helpertest.Denied) helpertest.Call {
	return helpertest.Call{Socket: helpertest.NoSocket, Deny: slices.Concat(deny...)}
}

// deaf is a call whose caller has closed the socket.
func deaf(deny ...[]helpertest.Denied) helpertest.Call {
	return helpertest.Call{HangUp: true, Deny: slices.Concat(deny...)}
}

var (
	unmount = []string{"-u"}
	detach  = []string{"-u", "-z"}
	inUtab  = []string{"-o", "x-a"}
)

var modes = []mode{
	{name: "the start of the Go runtime", start: true, whole: true},
	{name: "mount", whole: true},
	{name: "mount on a file", file: true, args: []string{"-o", "fsname=s,subtype=t,ro,noexec"}},
	{name: "mount by mount(2)", holds: true, call: with(helpertest.NoFsopen)},
	{name: "mount by mount(2) on a file, table as text", file: true, call: with(helpertest.NoFsopen, helpertest.NoStatmount)},
	{name: "mount, table as text", call: with(helpertest.NoStatmount)},
	{name: "mount with utab", holds: true, args: inUtab, utab: true},
	{name: "mount with mtab, counted by fusectl", mtab: true, fusectl: true},
	{name: "mount by mount(2) with both tables, table as text", args: inUtab, utab: true, mtab: true, call: with(helpertest.NoFsopen, helpertest.NoStatmount)},
	{name: "failed send", call: deaf(), goal: fails},
	{name: "failed send by mount(2), table as text", holds: true, call: deaf(helpertest.NoFsopen, helpertest.NoStatmount), goal: fails},
	{name: "failed send with both tables", args: inUtab, utab: true, mtab: true, call: deaf(), goal: fails},
	{name: "sync-init", holds: true, args: []string{"--sync-init"}, talk: answer},
	{name: "sync-init with utab, table as text", args: []string{"--sync-init", "-o", "x-a"}, utab: true, call: with(helpertest.NoStatmount), talk: answer},
	{name: "sync-init given up", args: []string{"--sync-init"}, talk: giveUp, silent: true, goal: fails},
	{name: "-u", args: unmount, call: alone(), mounted: true, goal: unmounts},
	{name: "-u, table as text", args: unmount, call: alone(helpertest.NoStatmount), mounted: true, goal: unmounts},
	{name: "-u -z", holds: true, args: detach, call: alone(), mounted: true, goal: unmounts},
	{name: "-u -z, table as text", args: detach, call: alone(helpertest.NoStatmount), mounted: true, goal: unmounts},
	{name: "-u with utab", holds: true, args: unmount, call: alone(), mounted: true, utab: true, goal: unmounts},
	{name: "-u with mtab", args: unmount, call: alone(), mounted: true, mtab: true, goal: unmounts},
	{name: "auto_unmount", whole: true, args: []string{"-o", "auto_unmount"}, talk: die, goal: watches},
	{name: "auto_unmount with both tables, table as text", args: []string{"-o", "auto_unmount,x-a"}, utab: true, mtab: true, call: with(helpertest.NoStatmount), talk: die, goal: watches},
	{name: "sync-init, then auto_unmount", args: []string{"--sync-init", "-o", "auto_unmount"}, talk: answerAndDie, goal: watches},
	{name: "--auto-unmount", args: []string{"--auto-unmount"}, mounted: true, talk: die, goal: watches},
	{name: "--version", args: []string{"--version"}, alone: true, call: alone(), goal: answers},
	{name: "--features", args: []string{"--features"}, alone: true, call: alone(), goal: answers},
	{name: "refused mountpoint", closed: true, goal: fails},
	{name: "refused option", args: []string{"-o", "nonsense"}, goal: fails},
}

func (m mode) sync() bool { return slices.Contains(m.args, "--sync-init") }

// from is the first system call of the helper after the start of the Go runtime. From
// there on the order never changes.
const from = "getresuid"

// hides lists calls that are not intercepted, to save time: the Go runtime makes many
// of them at its start, and later all modes make the same ones.
func (m mode) hides() []string {
	if m.holds || m.whole && (m.start || m.goal == watches) {
		return nil
	}
	return []string{"rt_sigaction"}
}

// environment keeps the Go runtime from starting threads, whose calls would mix with
// the helper's.
var environment = []string{"GOMAXPROCS=1"}

// device is the open device of a mount with auto_unmount.
func (r *run) device() **os.File {
	if r.world.mode.mounted {
		return &r.world.held
	}
	return &r.dev
}

// The next functions are the caller's part. The helper may end at any moment, which is
// no error here.

// answer serves the device of sync-init, reports that, and receives the result.
func answer(r *run, p *helpertest.Proc) error {
	if err := r.receive(p); err != nil || r.dev == nil {
		return err
	}
	if p.Send([]byte{0}) != nil { // the helper has ended
		return nil
	}
	return r.receive(p)
}

// giveUp has a daemon that does not answer INIT, and closes the socket while the kernel
// waits for it.
func giveUp(r *run, p *helpertest.Proc) error {
	if err := r.receive(p); err != nil || r.dev == nil {
		return err
	}
	if err := fusetest.SyncInit(r.dev); err != nil {
		return err
	}
	if p.Send([]byte{0}) != nil {
		return nil
	}
	select {
	case <-r.creating:
	case <-p.Exited():
	}
	return p.CloseSocket()
}

// needSilence skips the test where the kernel never waits for INIT.
func needSilence(t *testing.T) {
	t.Helper()
	dev, err := fusetest.OpenDevice()
	must(t, err)
	err = fusetest.SyncInit(dev)
	must(t, dev.Close())
	if err != nil {
		fusetest.Skip(t, "run a kernel with FUSE_DEV_IOC_SYNC_INIT (Linux 6.18): "+err.Error())
	}
}

// die closes all that a daemon holds, as when it is killed.
func die(r *run, p *helpertest.Proc) error {
	if !r.world.mode.mounted {
		if err := r.receive(p); err != nil {
			return err
		}
	}
	return errors.Join(shut(r.device()), p.CloseSocket())
}

func answerAndDie(r *run, p *helpertest.Proc) error {
	if err := answer(r, p); err != nil {
		return err
	}
	return errors.Join(shut(r.device()), p.CloseSocket())
}

// shut closes a device, if there is one.
func shut(dev **os.File) error {
	if *dev == nil {
		return nil
	}
	err := (*dev).Close()
	*dev = nil
	return err
}

// receive takes the next message from the socket.
func (r *run) receive(p *helpertest.Proc) error {
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if errors.Is(err, unix.ECONNRESET) { // the helper ended with unread data
		return nil
	}
	r.take(got)
	return err
}

func (r *run) take(got helpertest.Received) {
	r.nfds += got.NFDs
	r.bytes = append(r.bytes, got.Bytes...)
	if got.Dev != nil {
		r.dev = got.Dev
	}
}
