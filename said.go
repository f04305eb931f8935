package fusermount

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// said collects what a helper writes to its streams. It is read while the
// helper runs, so that a full pipe never blocks it. Of a flood the end is kept:
// the reason for a failure stands there.
type said struct {
	r      *os.File
	copyTo io.Writer
	names  []string // the helper's, one of which is before each message
	kept   []byte
	done   chan struct{} // closed when the goroutine has ended
}

const (
	maxKept = 64 << 10
	maxPipe = 1 << 20 // no pipe holds more (fs.pipe-max-size for users)
)

// newSaid gives also the helper's end of the pipe.
func newSaid(copyTo io.Writer) (*said, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return &said{r: r, copyTo: copyTo, done: make(chan struct{})}, w, nil
}

// abandon gives up a pipe that nobody will write to.
func (s *said) abandon() error { return s.r.Close() }

// start starts the reading. A wrapper runs the helper by another name.
func (s *said) start(path string) {
	s.names = append([]string{path, filepath.Base(path)}, helperNames...)
	go func() {
		defer close(s.done)
		buf := make([]byte, 4096)
		for {
			n, err := s.r.Read(buf)
			s.add(buf[:n])
			if err != nil { // the end, or finish
				return
			}
		}
	}()
}

func (s *said) add(text []byte) {
	if s.copyTo != nil && len(text) > 0 {
		if _, err := s.copyTo.Write(text); err != nil {
			s.copyTo = nil // whoever cannot listen does not want to
		}
	}
	if len(s.kept)+len(text) > 2*maxKept {
		s.kept = bytes.Clone(s.kept[len(s.kept)-maxKept:])
	}
	s.kept = append(s.kept, text...)
}

// finish takes what was written so far without waiting for a child of the
// helper's that still has the pipe, and closes it.
func (s *said) finish() {
	_ = s.r.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed
	<-s.done
	if raw, err := s.r.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { s.rest(int(fd)) })
	}
	closeQuietly(s.r)
}

func (s *said) rest(fd int) {
	buf := make([]byte, 4096)
	for taken := 0; taken < maxPipe; {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		s.add(buf[:n])
		taken += n
	}
}

// closed is closed when the helper has let go of its streams, or finish was
// called.
func (s *said) closed() <-chan struct{} { return s.done }

// messages gives the lines, without the helper's name. It is valid after
// finish.
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
	return line
}

// hold is a writer that keeps what it gets until it is released, so that the
// complaints of a helper that did not know a flag can be dropped.
type hold struct {
	mu       sync.Mutex
	to       io.Writer // may be nil
	kept     []byte
	released bool
}

func (h *hold) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
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
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	if h.to != nil && len(h.kept) > 0 {
		_, _ = h.to.Write(h.kept) // as in add, who cannot listen does not want to
	}
	h.kept = nil
}
