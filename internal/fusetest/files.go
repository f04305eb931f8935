package fusetest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// fileTable is what a program gets as its descriptors.
type fileTable struct {
	list           []*os.File // by number; nil is closed
	own            []*os.File // those of ours, closed after the start
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
	t.control = len(t.list) // beyond all that the program is to have
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

// streams opens standard input, output and error. What the comm socket takes
// the place of is closed again with the others.
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
