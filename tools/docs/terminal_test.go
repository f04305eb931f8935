package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// The shells print these, and nobody types them.
const (
	ready = "READY> "
	done  = "DONE\r\n"
)

// terminal is an interactive shell on a pseudo terminal, in which the name
// fusermount3 stands for a function that notes its arguments.
type terminal struct {
	master *os.File
	notes  string // directory of what the shell notes
	seen   []byte // of its output, what nobody waited for yet
}

// open starts a shell for the owner of home.
func open(t *testing.T, sh shell, home string) *terminal {
	t.Helper()
	program := sh.need(t)
	notes := sh.prepare(t)
	master, slave := pair(t)
	cmd := exec.Command(program, sh.args(notes)...)
	cmd.Dir = home
	cmd.Env = environment(home, notes)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Credential: credential()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // which says that it was killed
		_ = master.Close()
	})
	x := &terminal{master: master, notes: notes}
	x.until(t, ready)
	return x
}

func environment(home, notes string) []string {
	return []string{"PATH=/usr/bin:/bin", "HOME=" + home, "LC_ALL=C.UTF-8", "TERM=vt100", "NOTES=" + notes, "ZDOTDIR=" + notes}
}

// pair makes a pseudo terminal.
func pair(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	control(t, master, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		}
		return err
	})
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	control(t, slave, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 500})
	})
	return master, slave
}

func control(t *testing.T, f *os.File, call func(fd int) error) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = call(int(fd)) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
}

// until reads what the shell prints, up to a mark.
func (x *terminal) until(t *testing.T, mark string) {
	t.Helper()
	if err := x.master.SetReadDeadline(time.Now().Add(fusetest.Patience)); err != nil {
		t.Fatal(err)
	}
	for {
		if i := bytes.Index(x.seen, []byte(mark)); i >= 0 {
			x.seen = x.seen[i+len(mark):]
			return
		}
		buf := make([]byte, 4096)
		n, err := x.master.Read(buf)
		x.seen = append(x.seen, buf[:n]...)
		if err != nil {
			t.Fatalf("waiting for %q: %v; the terminal shows %q", mark, err, x.seen)
		}
	}
}

// run types a line, as it is, and gives the arguments that fusermount3 got.
func (x *terminal) run(t *testing.T, keys string) []string {
	t.Helper()
	if _, err := x.master.WriteString(keys + "\r"); err != nil {
		t.Fatal(err)
	}
	x.until(t, done)
	x.until(t, ready)
	return x.noted(t, "args")
}

// noted reads and removes one of the shell's notes, which are lists of texts.
func (x *terminal) noted(t *testing.T, name string) []string {
	t.Helper()
	path := filepath.Join(x.notes, name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	return texts(text)
}

// texts splits a list in which each text has a NUL behind it.
func texts(list []byte) []string {
	all := strings.Split(string(list), "\x00")
	return all[:len(all)-1]
}
