// Package holders finds the processes that use a mount, as far as the caller may look
// into them. It asks no daemon.
package holders

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Process is one that uses a mount.
type Process struct {
	PID  int
	Name string // as the process calls itself
}

// Of gives the processes that keep a mount busy by a working or root directory, a program or an
// open file. The mount's path narrows the search, its id decides. Files that are only mapped are
// not found: reading that list can wait for a process that waits for the daemon.
func Of(e mtab.Entry) (holders []Process, err error) {
	pids, err := rawfile.Numbers("/proc")
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		if pid != unix.Getpid() && holds(dir, e) {
			holders = append(holders, Process{PID: pid, Name: name(dir)})
		}
	}
	return holders, nil
}

func holds(dir string, e mtab.Entry) bool {
	for _, link := range []string{"/cwd", "/root", "/exe"} {
		if leadsInto(dir+link, e) {
			return true
		}
	}
	fds, err := rawfile.Numbers(dir + "/fd")
	if err != nil { // another user's process, or ended meanwhile
		return false
	}
	for _, fd := range fds {
		if leadsInto(dir+"/fd/"+strconv.Itoa(fd), e) {
			return true
		}
	}
	return false
}

// leadsInto says whether a link of procfs leads into a mount. Following it asks no daemon.
func leadsInto(link string, e mtab.Entry) bool {
	target, err := pathfd.Readlink(link)
	if err != nil || e.Mountpoint == "" || target != e.Mountpoint && !strings.HasPrefix(target, e.Mountpoint+"/") {
		return false // the first: a mount outside of the process's root
	}
	fd, err := pathfd.Open(unix.AT_FDCWD, link, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	found, err := mtab.ByFDAs(fd, e)
	return err == nil && mtab.Same(found, e)
}

// name is what the process calls itself.
func name(dir string) string {
	text, _ := rawfile.Text(dir + "/comm") // without a name, it has ended
	return strings.TrimSuffix(text, "\n")
}
