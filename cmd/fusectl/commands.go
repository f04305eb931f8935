package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/collect"
	"github.com/go-fusermount/fusermount/internal/connection"
	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/printable"
)

// mounts gives the FUSE mounts that are wanted, with what is known of their daemons.
func mounts(wanted func(fusermount.MountInfo) bool) ([]diagnose.Mount, error) {
	table, err := fusermount.List()
	if err != nil {
		return nil, err
	}
	table = slices.DeleteFunc(table, func(m fusermount.MountInfo) bool { return !wanted(m) })
	daemons, err := fusermount.Daemons(context.Background(), table...)
	if err != nil {
		return nil, err
	}
	names := collect.UserNames()
	found := make([]diagnose.Mount, len(table))
	for i, m := range table {
		d := daemons[i]
		found[i] = diagnose.Mount{
			Mountpoint: m.Mountpoint, Source: m.Source, Type: m.Type, Owner: m.Owner, OwnerName: names[m.Owner],
			Options: m.MountFlags, FSOptions: m.Options, ID: m.ID, Connection: m.Connection,
			State: diagnose.State(d.State.String()), Waiting: d.Waiting, Stopped: d.Stopped, Blocked: d.Blocked,
			Daemon: collect.Processes(d.PIDs),
		}
	}
	diagnose.Sort(found)
	return found, nil
}

func hasFusectl() bool {
	control, err := connection.Open()
	if err != nil {
		return false
	}
	_ = control.Close() // O_PATH: nothing can fail
	return true
}

// list prints the FUSE mounts, or those in which paths lie.
func list(paths []string, asJSON bool) error {
	wanted := func(fusermount.MountInfo) bool { return true }
	if len(paths) > 0 {
		ids := map[uint64]bool{}
		for _, path := range paths {
			found, err := collect.Find(path)
			if err != nil {
				return err
			}
			ids[found.Mount.ID] = true
			if err := found.Close(); err != nil {
				return err
			}
		}
		wanted = func(m fusermount.MountInfo) bool { return ids[m.ID] }
	}
	found, err := mounts(wanted)
	if err != nil {
		return err
	}
	fusectl := hasFusectl()
	text := diagnose.ListText(found, style())
	if asJSON {
		if text, err = diagnose.ListJSON(found, fusectl); err != nil {
			return err
		}
	}
	if err := output(text); err != nil {
		return err
	}
	if len(found) == 0 {
		return errProblem
	}
	if !asJSON {
		for _, hint := range diagnose.ListHints(found, uint32(os.Getuid()), fusectl) {
			complain("hint: " + hint)
		}
	}
	return nil
}

// check prints what is wrong with a path, if one is given, and with the system.
func check(paths []string, asJSON bool) error {
	f := diagnose.Facts{
		UID: uint32(os.Getuid()), Process: collect.Process(), System: collect.System(), Fusectl: hasFusectl(),
	}
	f.Device, f.System.SyncInit = collect.Device(f.System.Release)
	f.Conf, f.Service = collect.Conf(f.UID), collect.Service()
	if helper, err := fusermount.FindHelper(); err != nil {
		f.Program.Problem = &diagnose.Problem{Text: err.Error(), Next: "install go-fusermount, or name the program in FUSERMOUNT_PROG"}
	} else {
		f.Program = collect.Program(helper)
	}
	var err error
	if f.Mounts, err = mounts(func(fusermount.MountInfo) bool { return true }); err != nil {
		f.MountsUnknown = err.Error()
	}
	if len(paths) > 0 {
		f.Place = collect.Place(paths[0], policy.Caller{UID: f.UID, GID: uint32(os.Getgid())}, f.Conf.Settings, f.Mounts)
	}
	findings := diagnose.Check(f)
	text := diagnose.CheckText(findings, f, style())
	if asJSON {
		if text, err = diagnose.CheckJSON(findings, f); err != nil {
			return err
		}
	}
	if err := output(text); err != nil {
		return err
	}
	if diagnose.Failed(findings) {
		return errProblem
	}
	return nil
}

// abortTimeout bounds the unmount that follows an abort.
const abortTimeout = 30 * time.Second

// abort ends the connection of the FUSE mount at a path and unmounts it. What the
// unmount would refuse is refused before that.
func abort(path string) error {
	found, err := collect.Find(path)
	if err != nil {
		return err
	}
	defer found.Close()
	if err := mayUnmount(found); err != nil {
		return err
	}
	// A mount that is dead and stays is half of what was asked for.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	ctx, cancel := context.WithTimeout(context.Background(), abortTimeout)
	defer cancel()
	if err := fusermount.Abort(ctx, found.Path); err != nil {
		return &hintedError{fmt.Errorf("failed to abort the connection of %s: %s", found.Path, cause(err)), abortHint(err)}
	}
	if err := fusermount.Unmount(ctx, found.Path, &fusermount.UnmountOptions{Policy: fusermount.UnmountLazy}); err != nil {
		return &hintedError{
			fmt.Errorf("the connection was ended, but %s is still mounted: %s", found.Path, cause(err)),
			"'fusermount3 -u " + printable.ShellWord(found.Path) + "' unmounts it",
		}
	}
	return nil
}

// mayUnmount judges a lazy unmount as the helper does.
func mayUnmount(found collect.Found) error {
	entry, isRoot, err := mtab.ByFD(found.FD)
	if err != nil {
		return err
	}
	judged := func(e mtab.Entry) policy.Mounted {
		owner, has := e.Owner()
		return policy.Mounted{ID: e.ID, Type: e.Type, Owner: owner, HasOwner: has}
	}
	facts := policy.UnmountFacts{
		Caller: policy.Caller{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())},
		Path:   found.Path, Lazy: true, Mountpoint: isRoot && !found.Inside, Top: judged(entry),
	}
	if facts.AsksInside() && found.FUSE() {
		inside, err := mtab.Descendants(entry)
		if err != nil {
			return err
		}
		for _, e := range inside {
			facts.Inside = append(facts.Inside, judged(e))
		}
	}
	_, err = policy.Unmount(facts)
	var refusal *policy.Refusal
	if errors.As(err, &refusal) {
		return &hintedError{err, refusal.Advice}
	}
	return err
}

// cause is the error without the operation and the path, which are said already.
func cause(err error) string {
	var failed *fusermount.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return strings.TrimSpace(err.Error())
}

func abortHint(err error) string {
	const without = "or end the program that serves it, and unmount it with 'fusermount3 -u'"
	switch {
	case errors.Is(err, connection.ErrNotMounted):
		return diagnose.MountFusectl + "; " + without
	case errors.Is(err, unix.EACCES):
		return "the kernel lets the owner of the connection do that, and root; " + without
	}
	return ""
}
