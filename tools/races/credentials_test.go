package races

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// credentials are those of one thread of the helper, as /proc shows them.
type credentials struct {
	tid      int
	main     bool
	uids     [4]int // real, effective, saved, and that of file access
	gids     [4]int
	caps     map[string]uint64 // CapInh, CapPrm, CapEff, CapAmb
	noNew    bool              // no_new_privs
	confined bool              // by a seccomp filter
	// owner is the owner of the thread's files in /proc: root, unless the process
	// is dumpable. Of a dumpable one it is the effective user.
	owner uint32
}

// lendable are the capabilities that the helper lends itself, and retains for that.
const lendable = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID

// threadsOf reads the credentials of all threads of a process, the main one first.
func threadsOf(pid int) (list []credentials, err error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		c, err := credentialsOf(filepath.Join("/proc", strconv.Itoa(pid), "task", e.Name(), "status"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) { // it has ended
			continue
		}
		if err != nil {
			return nil, err
		}
		c.main = c.tid == pid
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b credentials) int { return a.tid - b.tid })
	return list, nil
}

func credentialsOf(path string) (c credentials, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	c.owner = info.Sys().(*syscall.Stat_t).Uid
	text := make([]byte, 8192)
	n, err := f.Read(text)
	if err != nil {
		return c, err
	}
	c.caps = map[string]uint64{}
	for line := range strings.Lines(string(text[:n])) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch name {
		case "Pid":
			_, err = fmt.Sscan(value, &c.tid)
		case "Uid":
			_, err = fmt.Sscan(value, &c.uids[0], &c.uids[1], &c.uids[2], &c.uids[3])
		case "Gid":
			_, err = fmt.Sscan(value, &c.gids[0], &c.gids[1], &c.gids[2], &c.gids[3])
		case "CapInh", "CapPrm", "CapEff", "CapAmb":
			c.caps[name], err = strconv.ParseUint(value, 16, 64)
		case "NoNewPrivs":
			c.noNew = value == "1"
		case "Seccomp":
			c.confined = value == "2"
		}
		if err != nil {
			return c, fmt.Errorf("%s: %q: %w", path, line, err)
		}
	}
	return c, nil
}

// excess lists what a thread has that no thread of alice's helper may have:
// another id than hers, or more capabilities than these, effective or permitted.
func (c credentials) excess(effective, permitted uint64) (list []string) {
	complain := func(format string, args ...any) {
		list = append(list, fmt.Sprintf("thread %d: ", c.tid)+fmt.Sprintf(format, args...))
	}
	hers := [4]int{alice, alice, alice, alice}
	if c.uids != hers {
		complain("uids %v", c.uids)
	}
	if c.gids != hers {
		complain("gids %v", c.gids)
	}
	for name, allowed := range map[string]uint64{"CapInh": 0, "CapPrm": permitted, "CapEff": effective, "CapAmb": 0} {
		if more := c.caps[name] &^ allowed; more != 0 {
			complain("%s %#x", name, c.caps[name])
		}
	}
	if !c.noNew {
		complain("no_new_privs is not set")
	}
	if c.owner != 0 {
		complain("is dumpable: its files in /proc belong to %d", c.owner)
	}
	return list
}

// asCaller complains of each thread that has more than a helper may have that
// waits: nothing effective, and permitted what it lends itself.
func asCaller(pid int) (bad []string, threads int, err error) {
	list, err := threadsOf(pid)
	for _, c := range list {
		bad = append(bad, c.excess(0, lendable)...)
	}
	return bad, len(list), err
}
