package fusermount

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// said collects what a helper writes to its streams. It is read while the
// helper runs, so that a full pipe never blocks it. Of a flood the end is kept:
// the reason for a failure stands there.
type said struct {
	fd     int // of the pipe; -1 at its end
	copyTo io.Writer
	names  []string // the helper's, one of which is before each message
	kept   []byte
}

const (
	maxKept = 64 << 10
	maxPipe = 1 << 20 // no pipe holds more (fs.pipe-max-size for users)
)

// newSaid owns the pipe. A wrapper runs the helper by another name than path.
func newSaid(pipe int, path string, copyTo io.Writer) *said {
	return &said{fd: pipe, copyTo: copyTo, names: append([]string{path, filepath.Base(path)}, helperNames...)}
}

// read takes what is there; it waits where there is nothing. At the pipe's end
// it closes it.
func (s *said) read() (n int) {
	buf := make([]byte, 4096)
	n, err := unix.Read(s.fd, buf)
	if errors.Is(err, unix.EINTR) {
		return 0
	}
	if err != nil || n <= 0 {
		s.close()
		return 0
	}
	s.add(buf[:n])
	return n
}

func (s *said) close() {
	closeAll(s.fd)
	s.fd = -1
}

// closed says that nobody has the helper's streams any more.
func (s *said) closed() bool { return s.fd < 0 }

func (s *said) add(text []byte) {
	if s.copyTo != nil {
		if _, err := s.copyTo.Write(text); err != nil {
			s.copyTo = nil // whoever cannot listen does not want to
		}
	}
	if len(s.kept)+len(text) > 2*maxKept {
		s.kept = bytes.Clone(s.kept[len(s.kept)-maxKept:])
	}
	s.kept = append(s.kept, text...)
}

// take takes what was written so far, without waiting for more.
func (s *said) take() {
	for taken := 0; !s.closed() && taken < maxPipe; {
		fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		taken += s.read()
	}
}

// finish is take at the end: a child of the helper's may still have the pipe.
func (s *said) finish() {
	s.take()
	s.close()
}

// messages gives the lines, without the helper's name.
func (s *said) messages() (lines []string) {
	text := s.kept[max(0, len(s.kept)-maxKept):]
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			lines = append(lines, s.nameless(line))
		}
	}
	return lines
}

func (s *said) nameless(line string) string {
	for _, name := range s.names {
		if text, found := strings.CutPrefix(line, name+": "); found {
			return text
		}
	}
	// A wrapper may run it by whatever path; no message of its own begins with one.
	if path, text, found := strings.Cut(line, ": "); found && slices.Contains(helperNames, filepath.Base(path)) {
		return text
	}
	return line
}

// hold is a writer that keeps what it gets until it is released, so that the
// complaints of a helper that did not know a flag can be dropped.
type hold struct {
	to       io.Writer // may be nil
	kept     []byte
	released bool
}

func (h *hold) Write(text []byte) (int, error) {
	switch {
	case h.to == nil:
	case h.released:
		return h.to.Write(text)
	case len(h.kept) < maxKept:
		h.kept = append(h.kept, text...)
	}
	return len(text), nil
}

func (h *hold) release() {
	h.released = true
	if h.to != nil && len(h.kept) > 0 {
		_, _ = h.to.Write(h.kept) // as in add, who cannot listen does not want to
	}
	h.kept = nil
}
