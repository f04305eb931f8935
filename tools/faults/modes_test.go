package faults

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// mode is one way through the helper.
type mode struct {
	name    string
	args    []string // before the mountpoint
	alone   bool     // there is no mountpoint
	call    fusetest.Call
	file    bool                                 // the mountpoint is a regular file
	closed  bool                                 // alice may not write to it
	utab    bool                                 // libmount's table is there
	mtab    bool                                 // /etc/mtab is a regular file
	mounted bool                                 // alice has a mount to begin with
	dead    bool                                 // its daemon has died
	fusectl bool                                 // the control file system of FUSE is mounted
	talk    func(r *run, p *fusetest.Proc) error // what the caller does meanwhile
	silent  bool                                 // her daemon does not answer
	goal    goal

	// whole: from the first call on, and with all errors. In the other modes the
	// helper does the same until it has read the command line, and what is alike
	// fails with one of the errors.
	whole bool
	start bool // nothing but the start of the Go runtime
	holds bool // the calls by which signals are held are among those that are tried
}

// goal is what a mode comes to when nothing fails.
type goal int

const (
	mounts   goal = iota // a mount, and its device with the caller
	unmounts             // no mount any more
	watches              // the same, by a process that stayed behind
	answers              // a text on standard output
	fails                // an error, and no mount
)

var (
	byCall = fusetest.Deny(unix.ENOSYS, "fsopen")
	byText = fusetest.Deny(unix.ENOSYS, "statmount", "listmount")
)

func with(deny ...[]fusetest.Denied) fusetest.Call {
	return fusetest.Call{Deny: slices.Concat(deny...)}
}

// alone is a call by a person, without a socket.
func alone(deny ...[]fusetest.Denied) fusetest.Call {
	return fusetest.Call{Socket: fusetest.NoSocket, Deny: slices.Concat(deny...)}
}

// deaf is a caller who has closed the socket.
func deaf(deny ...[]fusetest.Denied) fusetest.Call {
	return fusetest.Call{HangUp: true, Deny: slices.Concat(deny...)}
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
	{name: "mount by mount(2)", holds: true, call: with(byCall)},
	{name: "mount by mount(2) on a file, table as text", file: true, call: with(byCall, byText)},
	{name: "mount, table as text", call: with(byText)},
	{name: "mount with utab", holds: true, args: inUtab, utab: true},
	{name: "mount with mtab, counted by fusectl", mtab: true, fusectl: true},
	{name: "mount by mount(2) with both tables, table as text", args: inUtab, utab: true, mtab: true, call: with(byCall, byText)},
	{name: "failed send", call: deaf(), goal: fails},
	{name: "failed send by mount(2), table as text", holds: true, call: deaf(byCall, byText), goal: fails},
	{name: "failed send with both tables", args: inUtab, utab: true, mtab: true, call: deaf(), goal: fails},
	{name: "sync-init", holds: true, args: []string{"--sync-init"}, talk: answer},
	{name: "sync-init with utab, table as text", args: []string{"--sync-init", "-o", "x-a"}, utab: true, call: with(byText), talk: answer},
	{name: "sync-init given up", args: []string{"--sync-init"}, talk: giveUp, silent: true, goal: fails},
	{name: "-u", args: unmount, call: alone(), mounted: true, goal: unmounts},
	{name: "-u, table as text", args: unmount, call: alone(byText), mounted: true, goal: unmounts},
	{name: "-u -z", holds: true, args: detach, call: alone(), mounted: true, goal: unmounts},
	{name: "-u -z, table as text", args: detach, call: alone(byText), mounted: true, goal: unmounts},
	{name: "-u with utab", holds: true, args: unmount, call: alone(), mounted: true, utab: true, goal: unmounts},
	{name: "-u with mtab", args: unmount, call: alone(), mounted: true, mtab: true, goal: unmounts},
	{name: "auto_unmount", whole: true, args: []string{"-o", "auto_unmount"}, talk: die, goal: watches},
	{name: "auto_unmount with both tables, table as text", args: []string{"-o", "auto_unmount,x-a"}, utab: true, mtab: true, call: with(byText), talk: die, goal: watches},
	{name: "sync-init, then auto_unmount", args: []string{"--sync-init", "-o", "auto_unmount"}, talk: answerAndDie, goal: watches},
	{name: "--auto-unmount", args: []string{"--auto-unmount"}, mounted: true, talk: die, goal: watches},
	{name: "--version", args: []string{"--version"}, alone: true, call: alone(), goal: answers},
	{name: "--features", args: []string{"--features"}, alone: true, call: alone(), goal: answers},
	{name: "refused mountpoint", closed: true, goal: fails},
	{name: "refused option", args: []string{"-o", "nonsense"}, goal: fails},
}

func (m mode) sync() bool { return slices.Contains(m.args, "--sync-init") }

// from is the first call of the helper's own, in an order that never changes.
const from = "getresuid"

// hides are calls that are not shown, to save the time: the Go runtime makes many of
// them at its start, and all ways do it alike afterwards.
func (m mode) hides() []string {
	if m.holds || m.whole && (m.start || m.goal == watches) {
		return nil
	}
	return []string{"rt_sigaction"}
}

// environment keeps the Go runtime from starting threads in between, which would
// put calls of its own among the helper's.
var environment = []string{"GOMAXPROCS=1"}

// device is what a caller of auto_unmount holds of his mount.
func (r *run) device() **os.File {
	if r.world.mode.mounted {
		return &r.world.held
	}
	return &r.dev
}
