//go:build linux

package helperproc

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// output collects what a helper writes to its streams. It is read while the helper runs,
// so that a full pipe never blocks the helper. The end of the output is kept, since the
// reason for a failure stands there.
type output struct {
	fd      int      // of the pipe; -1 at its end
	names   []string // the helper's, one of which begins each message
	kept    []byte
	discard bool // keep nothing more
}

const (
	maxKept = 64 << 10
	maxPipe = 1 << 20 // no pipe of a user's holds more (fs.pipe-max-size)
)

// newOutput owns the pipe. A wrapper may run the helper by another name than path.
func newOutput(pipe int, path string) *output {
	return &output{fd: pipe, names: append([]string{path, filepath.Base(path)}, names...)}
}

// read reads once; it blocks if the pipe is empty. At the pipe's end it closes it.
func (o *output) read() (n int) {
	buf := make([]byte, 4096)
	n, err := unix.Read(o.fd, buf)
	if errors.Is(err, unix.EINTR) {
		return 0
	}
	if err != nil || n <= 0 {
		o.close()
		return 0
	}
	if !o.discard {
		o.keep(buf[:n])
	}
	return n
}

func (o *output) keep(text []byte) {
	if len(o.kept)+len(text) > 2*maxKept {
		o.kept = bytes.Clone(o.kept[len(o.kept)-maxKept:])
	}
	o.kept = append(o.kept, text...)
}

func (o *output) close() {
	closeAll(o.fd)
	o.fd = -1
}

// closed reports whether no process has the helper's streams any more.
func (o *output) closed() bool { return o.fd < 0 }

// drain reads what was written so far, and does not wait for more.
func (o *output) drain() {
	for n := 0; !o.closed() && n < maxPipe; {
		fds := []unix.PollFd{{Fd: int32(o.fd), Events: unix.POLLIN}}
		ready, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || ready == 0 {
			return
		}
		n += o.read()
	}
}

// finish drains and closes the pipe: a child of the helper may still have the other end.
func (o *output) finish() {
	o.drain()
	o.close()
}

// messages returns the lines, without the helper's name.
func (o *output) messages() (lines []string) {
	text := o.kept[max(0, len(o.kept)-maxKept):]
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			lines = append(lines, o.withoutName(line))
		}
	}
	return lines
}

func (o *output) withoutName(line string) string {
	for _, name := range o.names {
		if text, found := strings.CutPrefix(line, name+": "); found {
			return text
		}
	}
	// A wrapper may run the helper by any path; no message begins with a path.
	if path, text, found := strings.Cut(line, ": "); found && slices.Contains(names, filepath.Base(path)) {
		return text
	}
	return line
}
