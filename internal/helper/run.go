// Package helper is one run of the set-uid program: become the caller, read the request,
// carry it out, report.
package helper

import (
	"fmt"
	"strings"

	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// run is what one run of the program knows. The steps are functions that take it.
type run struct {
	version string
	who     priv.Identity
	req     cmdline.Request
	report  *reporter
	tasks   seccomp.Task // what is left to be done
	path    string       // the mountpoint, canonical once it is resolved; for the log
	about   string       // type and source, as far as they are known; for the log
	over    bool         // the request was carried out: a later failure is not one of it
	guest   *Guest       // for whom the mount service works; nil in the set-uid program

	noService error // why the mount service cannot be asked
}

// caller is who asks.
func (r *run) caller() policy.Caller {
	return policy.Caller{UID: r.who.UID, GID: r.who.GID, Guest: r.guest != nil}
}

// Run carries out one command line, and returns the exit status: 0 or 1. No panic escapes
// it. It must be called on the main thread, and once. version is the build's own.
func Run(argv []string, version string) (status int) {
	resetGC()
	r := &run{version: version, report: newReporter(argv)}
	defer func() {
		if p := recover(); p != nil {
			_ = signals.Release() // writing the message may block
			r.report.fail(fmt.Errorf("internal error: %v", p), "")
			status = 1
		}
	}()
	if err := r.carryOut(argv); err != nil {
		if err := signals.Release(); err != nil {
			r.report.warn("warning: " + err.Error())
		}
		r.report.fail(err, r.hint(err))
		return 1
	}
	r.report.flush()
	return 0
}

func (r *run) carryOut(argv []string) (err error) {
	if err := signals.Default(); err != nil {
		return err
	}
	if r.who, err = priv.Become(); err != nil {
		return err
	}
	if r.req, err = cmdline.Parse(argv); err != nil {
		return &policy.Refusal{Reason: err.Error(), Advice: "'fusermount3 --help' lists what it can be called with"}
	}
	r.path = r.req.Mountpoint
	if text, static := staticText(r.req.Mode, r.version); static {
		return r.print(text)
	}
	if c := connect(r); c != nil {
		return askService(r, c)
	}
	return r.dispatch()
}

func (r *run) dispatch() (err error) {
	var what string
	switch r.req.Mode {
	case cmdline.Mount:
		what, err = "mount", runMount(r)
	case cmdline.Unmount:
		what, err = "unmount", runUnmount(r)
	default:
		what, err = "watch", runWatch(r)
	}
	if err != nil && !r.over {
		r.logRefusal(what, err)
	}
	return err
}

// restrictTo leaves the process only the capabilities and system calls that its tasks need.
func (r *run) restrictTo(tasks seccomp.Task) error {
	r.tasks = tasks
	if err := priv.KeepOnly(capabilities(tasks)); err != nil {
		return err
	}
	return seccomp.To(tasks, r.who.UID, r.who.GID)
}

func capabilities(tasks seccomp.Task) priv.Set {
	if tasks&seccomp.Tables != 0 {
		return priv.SysAdmin | priv.SetUID | priv.SetGID
	}
	return priv.SysAdmin
}

// tablesTask is the task of writing tables, if one of these exists.
func (r *run) tablesTask(paths ...string) seccomp.Task {
	if r.guest != nil { // the tables are of this mount namespace
		return 0
	}
	for _, path := range paths {
		found, err := mtab.Exists(path)
		if err != nil {
			r.report.warn("warning: " + err.Error())
		}
		if found {
			return seccomp.Tables
		}
	}
	return 0
}

// mayWriteTables says whether a table existed when the tasks were chosen. One that was
// created since is left alone: the capabilities for it are gone.
func (r *run) mayWriteTables() bool { return r.tasks&seccomp.Tables != 0 }

// compatibleWith is the libfuse whose helper this one replaces. Callers take the third
// word of --version, or the first number.
const compatibleWith = "3.19.0"

// staticText is what a mode prints without examining anything; ok is false for the others.
func staticText(mode cmdline.Mode, version string) (text string, ok bool) {
	switch mode {
	case cmdline.Version:
		// One word looks like a version. Our own has underscores, so that scripts do not match it.
		return "fusermount3 version: " + compatibleWith + " (go-fusermount " + strings.ReplaceAll(version, ".", "_") + ")\n", true
	case cmdline.Features: // bit 0: the new mount API, bit 1: sync-init
		return "0000000000000003\n", true
	case cmdline.FeaturesText:
		return "FUSERMOUNT_FEATURE_NEW_MOUNT_API FUSERMOUNT_FEATURE_SYNC_INIT\n", true
	case cmdline.Help:
		return usage, true
	}
	return "", false
}

const usage = `usage: fusermount3 -u [-z] [-q] MOUNTPOINT
       fusermount3 [-o OPTIONS] MOUNTPOINT

The first form unmounts a FUSE file system that you mounted. The last one
mounts, and is not for people: programs such as sshfs run it, and hand it a
socket on which they get the FUSE device.

 -u, --unmount          unmount MOUNTPOINT
 -z, --lazy             with -u: detach now, clean up when no longer in use
 -q, --quiet            with -u: print no errors
 -o, --options OPTIONS  comma-separated mount options; repeated -o add up
 --auto-unmount         mount nothing: wait until the socket closes, and unmount
                        MOUNTPOINT if its daemon is dead
 --sync-init            send the device first, mount when the caller answers,
                        and report how it went
 --comm-fd N            number of the socket, in place of _FUSE_COMMFD
 --features             print the feature mask as 16 hexadecimal digits
 --features=text        print the names of the features
 -V, --version          print the version
 -h, --help             print this text

What is mounted, what is wrong, and how to end a hung mount: fusectl(1). Mount
options and messages: fusermount3(1). Settings: fuse.conf(5), /etc/fuse.conf.
`
