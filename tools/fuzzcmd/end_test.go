package fuzzcmd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// watcher is a call that stays.
type watcher struct {
	*fusetest.Proc
	cancel context.CancelFunc
	path   string // of the mount
	line   fusetest.Line
	birth  int  // which of the mounts at that path it is
	broken bool // it can unmount nothing
	// reused says that it knows its mount by an id that the next mount may get:
	// one of hers that is dead, too, and in nothing different, goes for it.
	reused bool
}

// leaves says whether a process ignores signals that no test has it ignore: a
// watcher does so last of all.
func leaves(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, mask, found := strings.Cut(string(text), "\nSigIgn:\t")
	if err != nil || !found {
		return false // it has ended
	}
	set, err := strconv.ParseUint(mask[:16], 16, 64)
	const some = 1<<(unix.SIGINT-1) | 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGUSR2-1)
	return err == nil && set&some == some
}

// end takes everything away: watchers end when their sockets close, and what is
// alice's can be unmounted by her.
func (w *world) end() {
	w.Helper()
	defer func() {
		for _, watcher := range w.watchers {
			watcher.cancel()
		}
		w.kill()
		w.check(clearSetting())
	}()
	if w.Failed() {
		return
	}
	w.endWatchers()
	w.unmountMine()
}

// unmountMine has alice unmount whatever is hers and can be reached: whatever
// happened to a mount, its owner can take it away.
func (w *world) unmountMine() {
	w.Helper()
	for l, found := w.reachable(); found; l, found = w.reachable() {
		c := &call{kind: unmount, target: target{path: l.Mountpoint}, lazy: true, sure: true}
		c.Call = fusetest.Call{
			Prog: w.program(), UID: alice, GID: alice, Dir: "/", Socket: fusetest.NoSocket,
			Args: []string{"-u", "-z", "--", l.Mountpoint},
		}
		w.judge(c, w.run(c))
	}
}

// reachable gives one of alice's mounts on which nothing of others lies.
func (w *world) reachable() (l fusetest.Line, found bool) {
	for _, l := range w.lines {
		if owned(l) && l.Mountpoint != w.covered && !w.hidden(target{path: l.Mountpoint}) {
			return l, true
		}
	}
	return fusetest.Line{}, false
}

// endWatchers closes the sockets one by one. The first watcher may have asked its
// daemon before that died.
func (w *world) endWatchers() {
	w.Helper()
	for _, watcher := range w.watchers {
		w.check(watcher.CloseSocket())
		w.kill()
		r := watcher.Wait()
		watcher.cancel()
		reachable := w.covered == "" && !w.hidden(target{path: watcher.path}) && !watcher.broken
		if r.Err != nil || r.Signal != 0 || r.Exit > 1 || (r.Exit == 1 && reachable) {
			w.Fatalf("the watcher of %s: exit %d, signal %v, %v: %s", watcher.path, r.Exit, r.Signal, r.Err, r.Stderr)
		}
		now := w.mountTable()
		went := without(w.lines, now)
		w.lines = now
		same := func(l fusetest.Line) bool { return l.ID == watcher.line.ID && l.Mountpoint == watcher.path }
		if reachable && slices.ContainsFunc(now, same) && w.births[watcher.path] == watcher.birth {
			w.Fatalf("%s was not cleaned up", watcher.path)
		}
		switch {
		case len(went) == 0:
			w.wantTables(0, "")
		case len(went) > 1, went[0].Mountpoint != watcher.path && !watcher.reused, !owned(went[0]):
			w.Fatalf("the watcher of %s took away %+v", watcher.path, went)
		default:
			w.wantTables(-1, went[0].Mountpoint)
		}
	}
	w.watchers = nil
}
