package helpertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// SocketKind is the type of the comm socket of a [Call].
type SocketKind int

// The kinds. Stream is what most FUSE libraries use, Seqpacket what
// hanwen/go-fuse uses.
const (
	Stream SocketKind = iota
	Seqpacket
	Dgram
	NoSocket // and no _FUSE_COMMFD
)

// Call is one run of a helper, as a FUSE library makes it. The program gets exactly this
// environment and these descriptors, and inherits none of the test's.
type Call struct {
	Prog string   // the file to execute
	Args []string // the arguments after argv[0], which is Prog
	Argv []string // when not nil, all arguments; empty means argc 0
	Env  []string
	Dir  string

	UID, GID uint32 // real, effective and saved; used as numbers only
	Groups   []uint32
	KeepRoot bool // leave the test's own ids, and ignore the three above

	Socket SocketKind
	// CommFD is the socket's number in the program; 0 means 3. On 1 or 2 it replaces that
	// stream, which Result then lacks.
	CommFD int
	// CommStdin makes it number 0.
	CommStdin bool
	// NoCommEnv leaves _FUSE_COMMFD out. A value in Env is used in any case.
	NoCommEnv bool
	// Comm, when not nil, replaces the socket by a pipe, a file or another socket. The
	// test closes it.
	Comm *os.File
	// Prefill fills the socket before the start, so that each send of the program would
	// block. Result.Bytes then includes the filling.
	Prefill bool
	// InheritPeer also gives the program the test's end, as the number after the socket's,
	// and names it in _FUSE_COMMFD2, like a library whose socket pair is not
	// close-on-exec.
	InheritPeer bool
	// HangUp closes the test's end before the start.
	HangUp bool

	Stdin *os.File // nil means /dev/null; the test closes it
	// Stdout and Stderr, when not nil, replace the pipes whose text is in Result. The test
	// closes them.
	Stdout, Stderr *os.File

	Deny []Denied // system calls that fail
	// Intercept, when not nil, is called before each system call of the program's main
	// thread, and of processes that it forks, and returns what happens to the call. Not
	// shown are calls of other threads, those in Deny, and those by which the Go runtime
	// manages its threads and memory. It needs CAP_SYS_ADMIN and Linux 5.19, and is called
	// by a goroutine of its own.
	Intercept func(Syscall) Verdict
	// InterceptFrom is the name of the first call that is shown, for a start whose length
	// varies. Calls of that name before the Go runtime has started do not count.
	InterceptFrom string
	// InterceptNot names more calls that are not shown: a program that stops less often
	// runs faster.
	InterceptNot []string

	Rlimits    []Rlimit      // soft = hard
	Block      []unix.Signal // signals in the mask
	Ignore     []unix.Signal // signals set to SIG_IGN
	CloseFDs   []int         // closed before the exec: 0, 1, 2
	DropCaps   []int         // taken from the bounding set
	Umask      *int          // nil: the test's
	NoNewPrivs bool
	Group      bool // makes the program the leader of a process group of its own
}

// Rlimit is one resource limit of a [Call].
type Rlimit struct {
	Resource int // unix.RLIMIT_*
	Value    uint64
}

// Result is how a [Call] ended.
type Result struct {
	// Exit is the exit status, or -1 when a signal ended the program or it
	// could not be started.
	Exit   int
	Signal unix.Signal // 0 unless a signal ended it
	Stdout string
	Stderr string
	// Held reports whether another process still has the program's standard output or
	// error open.
	Held bool
	// Received is what was in the socket after the exit.
	Received
	Elapsed time.Duration
	// Err is a failure of the run itself: no start, a failure of the shim, the context's
	// end. An exit status is no error.
	Err error
}

// Run starts the program, waits for its exit, and then receives what is in the socket
// without waiting, as most libraries do. When the context ends the program is killed.
// The caller owns Result.Dev.
func (c Call) Run(ctx context.Context) Result {
	p, err := c.Start(ctx)
	if err != nil {
		return Result{Exit: -1, Err: err}
	}
	return p.Wait()
}

// Start starts the program. The caller must call Wait. When the context ends
// the program is killed.
func (c Call) Start(ctx context.Context) (*Proc, error) {
	if c.shimmed() && !fusetest.Restartable() {
		return nil, errors.New("fusetest: a call with failing system calls or limits needs RunTests or MaybeShim first")
	}
	watch, err := newInterceptor(c)
	if err != nil {
		return nil, err
	}
	p := &Proc{ctx: ctx, watch: watch, exited: make(chan struct{}), killErr: make(chan error, 1), shimmed: c.shimmed()}
	files := newFileTable(c)
	defer files.close()
	var control *os.File // sends the listener
	p.sock, control, err = files.setup(c)
	p.out, p.errs = files.stdout, files.stderr
	if err == nil {
		p.start = time.Now()
		p.process, err = c.startProcess(files)
	}
	if err != nil {
		if control != nil {
			testsys.MustClose(control)
		}
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Prog, err), p.out.abandon(), p.errs.abandon(), p.CloseSocket())
	}
	if watch != nil {
		go watch.run(p.process, control)
	}
	p.out.run()
	p.errs.run()
	go p.reap()
	return p, nil
}

// startProcess starts the program, or the shim that becomes it.
func (c Call) startProcess(files *fileTable) (*os.Process, error) {
	attr := &os.ProcAttr{Dir: c.Dir, Files: files.list, Env: c.environ(), Sys: &syscall.SysProcAttr{Setpgid: c.Group}}
	if c.shimmed() {
		spec := c.shimSpec()
		spec.Control = files.control
		value, err := spec.encode()
		if err != nil {
			return nil, err
		}
		attr.Env = []string{shimEnv + "=" + value, "GOMAXPROCS=1"} // starts faster
		return os.StartProcess("/proc/self/exe", []string{"fusetest-shim"}, attr)
	}
	if !c.KeepRoot {
		attr.Sys.Credential = &syscall.Credential{
			Uid: c.UID, Gid: c.GID, Groups: c.Groups, NoSetGroups: fusetest.Have() != fusetest.Root,
		}
	}
	return os.StartProcess(c.Prog, c.argv(), attr)
}

// shimmed reports whether the program must be started by the shim.
func (c Call) shimmed() bool {
	return c.Intercept != nil || len(c.Deny)+len(c.Rlimits)+len(c.Block)+len(c.Ignore)+len(c.CloseFDs)+
		len(c.DropCaps) > 0 || c.Umask != nil || c.NoNewPrivs
}

func (c Call) argv() []string {
	if c.Argv != nil {
		return c.Argv
	}
	return append([]string{c.Prog}, c.Args...)
}

func (c Call) commFD() int {
	switch {
	case c.CommStdin:
		return 0
	case c.CommFD == 0:
		return 3
	}
	return c.CommFD
}

func (c Call) hasComm() bool { return c.Comm != nil || c.Socket != NoSocket }

// fileTable are the descriptors of a program.
type fileTable struct {
	list           []*os.File // by number; nil is closed
	own            []*os.File // those to close after the start
	stdout, stderr *capture
	control        int // the number of the shim's control socket; 0: there is none
}

func newFileTable(c Call) *fileTable {
	size := 3
	if c.hasComm() {
		size = max(size, c.commFD()+1)
	}
	return &fileTable{list: make([]*os.File, size)}
}

// setup opens the streams, the comm socket and the control socket, and returns
// the test's ends of the sockets, nil for one that is not there.
func (t *fileTable) setup(c Call) (sock, control *os.File, err error) {
	if err := t.streams(c); err != nil {
		return nil, nil, err
	}
	if sock, err = t.comm(c); err != nil || c.Intercept == nil {
		return sock, nil, err
	}
	control, theirs, err := testsys.Socketpair(unix.SOCK_STREAM)
	if err != nil {
		return sock, nil, err
	}
	t.own = append(t.own, theirs)
	t.control = len(t.list) // after all descriptors of the program
	t.list = append(t.list, theirs)
	return sock, control, nil
}

func (t *fileTable) comm(c Call) (sock *os.File, err error) {
	if c.Comm != nil {
		t.list[c.commFD()] = c.Comm
		return nil, nil
	}
	if c.Socket == NoSocket {
		return nil, nil
	}
	mine, theirs, err := testsys.Socketpair(socketTypes[c.Socket])
	if err != nil {
		return nil, err
	}
	t.own = append(t.own, theirs)
	t.list[c.commFD()] = theirs
	if c.Prefill {
		if err := fill(theirs); err != nil {
			return nil, errors.Join(err, mine.Close())
		}
	}
	if c.HangUp {
		return nil, mine.Close()
	}
	if c.InheritPeer {
		t.list = append(t.list, mine)
	}
	return mine, nil
}

// streams opens standard input, output and error. A stream that the comm socket replaces
// is closed with the others.
func (t *fileTable) streams(c Call) error {
	in := c.Stdin
	if in == nil {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		t.own = append(t.own, null)
		in = null
	}
	t.list[0] = in
	for _, s := range []struct {
		fd    int
		given *os.File
		taken **capture
	}{{1, c.Stdout, &t.stdout}, {2, c.Stderr, &t.stderr}} {
		if s.given != nil {
			t.list[s.fd] = s.given
			continue
		}
		read, write, err := newCapture()
		if err != nil {
			return err
		}
		*s.taken = read
		t.own = append(t.own, write)
		t.list[s.fd] = write
	}
	return nil
}

// close closes the program's ends in this process.
func (t *fileTable) close() {
	for _, f := range t.own {
		testsys.MustClose(f)
	}
}

// environ returns the program's environment.
func (c Call) environ() []string {
	env := slices.Clone(c.Env)
	given := slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "_FUSE_COMMFD=") })
	if c.hasComm() && !c.NoCommEnv && !given {
		env = append(env, fmt.Sprintf("_FUSE_COMMFD=%d", c.commFD()))
	}
	if c.InheritPeer {
		env = append(env, fmt.Sprintf("_FUSE_COMMFD2=%d", c.commFD()+1))
	}
	if env == nil {
		env = []string{} // nil would be the test's own
	}
	return env
}
