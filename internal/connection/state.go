// Package connection knows the FUSE connections in the kernel: their number, what
// waits for their daemons, how to end one, and whether a daemon is alive. It is the
// one place that judges that.
package connection

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
)

// State says whether a mount's daemon answers.
type State int

// The states.
const (
	// Unknown: nothing tells this process.
	Unknown State = iota
	// Alive: no request waits for the daemon, or it holds its device and how many
	// requests wait is not known.
	Alive
	// Waiting: requests wait for the daemon. It makes progress, or was not looked
	// at for long enough to say more.
	Waiting
	// Hung: requests wait, none was answered while the connection was looked at, and
	// the processes of the daemon that can be seen are stopped or did nothing.
	Hung
	// Dead: no process holds the device any more, or the connection was aborted.
	Dead
)

// Daemon is what is known of a mount's daemon.
type Daemon struct {
	State State
	// Counted says that Waiting is the number of requests that wait for the daemon.
	Counted bool
	Waiting int
	// PIDs are the processes that hold the device, as far as this one may look into
	// them and the kernel tells which device it is (Linux 6.18).
	PIDs []int
	// Stopped: all of them are stopped, by a signal or a debugger. Blocked: a thread
	// of theirs waits in the kernel and cannot be interrupted.
	Stopped, Blocked bool
}

// Caller is the caller of Judge: their uid, and whether they have CAP_SYS_ADMIN.
type Caller struct {
	UID   uint32
	Admin bool
}

// Options of Judge.
type Options struct {
	// Patience is how long a connection with waiting requests is looked at before its
	// daemon is called hung.
	Patience time.Duration
	// Ask says that a daemon may be asked, if nothing else tells: one that would have
	// been seen among the processes that hold devices, and is not there. That is
	// bounded by askLimit, but if that daemon hangs all the same, a thread waits until
	// it answers, and keeps this process from ending, even by SIGKILL.
	Ask bool
}

// A connection with requests that wait is looked at each lookEvery. For settleTime it
// may become idle. From then on the daemon has to make progress within patience, or
// within stopTime if it is stopped.
const (
	lookEvery  = 20 * time.Millisecond
	settleTime = 200 * time.Millisecond
	stopTime   = time.Second
)

// Judge finds out what is known of the daemons of mounts: from the control files, then
// from the processes that hold devices.
//
// It takes up to o.Patience if requests wait for a daemon, and settleTime if the daemon
// makes progress. When ctx ends first, what is known by then is returned with its
// error.
func Judge(ctx context.Context, who Caller, o Options, mounts ...mtab.Entry) ([]Daemon, error) {
	if len(mounts) == 0 {
		return nil, nil
	}
	j := &judge{ctx: ctx, who: who, mayAsk: o.Ask, connections: map[uint32]*subject{}}
	if control, err := OpenAs(who); err == nil {
		j.control, j.controlled = control, true
		defer control.Close() // O_PATH: nothing can fail
	}
	for _, e := range mounts {
		if s := j.connections[e.Connection()]; s == nil || s.State == Unknown { // bind mounts have one connection
			j.connections[e.Connection()] = j.first(e)
		}
	}
	err := j.watch(o.Patience)
	daemons := make([]Daemon, len(mounts))
	for i, e := range mounts {
		s := j.connections[e.Connection()]
		if o.Patience > 0 && s.State != Dead {
			s.PIDs = slices.Clone(j.processes().of[s.number])
			s.Stopped, s.Blocked = conditions(s.PIDs)
		}
		daemons[i] = s.Daemon
	}
	return daemons, err
}

type judge struct {
	ctx         context.Context
	who         Caller
	mayAsk      bool
	control     Dir
	controlled  bool // control is open
	devices     *devices
	connections map[uint32]*subject
}

// subject is a connection that is judged.
type subject struct {
	Daemon
	number   uint32
	watched  []int // processes that are, or may be, the daemon's
	settled  bool
	activity uint64 // of watched, when it settled
}

// processes looks through all processes, once.
func (j *judge) processes() *devices {
	if j.devices == nil {
		j.devices = findDevices()
	}
	return j.devices
}

// first is what is known without a wait.
func (j *judge) first(e mtab.Entry) *subject {
	s := &subject{number: e.Connection()}
	if j.controlled && s.count(j.control) == nil {
		return s
	}
	d := j.processes()
	switch {
	case len(d.of[s.number]) > 0:
		s.State = Alive
	case !j.mayAsk, len(d.nameless) > 0 && len(d.of) == 0, !d.sees(e, j.who):
	default:
		s.State = j.ask(e)
	}
	return s
}

// count reads the control files.
func (s *subject) count(control Dir) error {
	status, err := control.Status(s.number)
	switch s.Counted, s.Waiting = err == nil, status.Waiting; {
	case err != nil:
		s.State = Unknown
	case status.Ended:
		s.State = Dead
	case status.Waiting == 0:
		s.State = Alive
	default:
		s.State = Waiting
	}
	return err
}

// watch looks at the connections for which requests wait until they are judged.
func (j *judge) watch(patience time.Duration) error {
	var open []*subject
	for _, s := range j.connections {
		if s.State == Waiting && s.Counted {
			open = append(open, s)
		}
	}
	if len(open) == 0 || patience <= 0 {
		return nil
	}
	for _, s := range open {
		s.watched = append(slices.Clone(j.processes().of[s.number]), j.processes().nameless...)
	}
	start := time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for len(open) > 0 {
		select {
		case <-j.ctx.Done():
			return context.Cause(j.ctx)
		case <-tick.C:
		}
		elapsed := time.Since(start)
		open = slices.DeleteFunc(open, func(s *subject) bool { return j.look(s, elapsed, patience) })
	}
	return nil
}

// look looks at a connection once more, and says whether it is judged.
func (j *judge) look(s *subject, elapsed, patience time.Duration) (judged bool) {
	before := s.Waiting
	if err := s.count(j.control); err != nil || s.State != Waiting { // an error: it was unmounted
		return true
	}
	if !s.settled {
		if elapsed >= settleTime {
			s.settled, s.activity = true, activity(s.watched)
		}
		return false
	}
	if s.Waiting < before || activity(s.watched) != s.activity {
		return true
	}
	stopped, _ := conditions(s.watched)
	if elapsed >= patience || elapsed >= stopTime && stopped {
		s.State = Hung
		return true
	}
	return false
}

// askLimit bounds the wait for a daemon that is there all the same, and hangs.
const askLimit = time.Second

// asked has since when a mount's daemon has not answered. Each question may hold a
// thread for good, so one that waits longer than askLimit is the last.
var asked sync.Map // of time.Time, by mount id

// ask asks the daemon, which nobody seems to be.
func (j *judge) ask(e mtab.Entry) State {
	if since, waits := asked.LoadOrStore(e.ID, time.Now()); waits && time.Since(since.(time.Time)) >= askLimit {
		return Waiting
	}
	answer := make(chan State, 1)
	hidden := j.processes().hidden
	go func() {
		defer asked.Delete(e.ID)
		answer <- stat(e, hidden)
	}()
	select {
	case state := <-answer:
		return state
	case <-time.After(askLimit):
		return Waiting
	case <-j.ctx.Done():
		return Unknown
	}
}

// stat asks the daemon for the attributes of its root.
func stat(e mtab.Entry, hidden bool) State {
	fd, err := pathfd.Open(unix.AT_FDCWD, e.Mountpoint, unix.O_NOFOLLOW)
	if err != nil {
		return Unknown
	}
	defer unix.Close(fd)
	if now, _, err := mtab.ByFD(fd); err != nil || !mtab.Same(now, e) {
		return Unknown // something lies on top
	}
	var st unix.Statx_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
	switch {
	case err == nil:
		return Alive
	case errors.Is(err, unix.ENOTCONN):
		return Dead
	case errors.Is(err, unix.EACCES) && unix.Geteuid() == 0 && !hidden:
		return Dead // only the owner may ask, but root has seen all processes
	}
	return Unknown
}
