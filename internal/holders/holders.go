// Package holders finds the processes that use a mount, as far as the caller may look
// into them. It asks no daemon.
package holders

import (
	"fmt"
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
// open file; if there are none, those that have mapped a file of it. The mount's path narrows the
// search, its id decides.
func Of(e mtab.Entry) (holders []Process, err error) {
	pids, err := rawfile.Numbers("/proc")
	if err != nil {
		return nil, err
	}
	// Reading the mappings can wait for a process that waits for the daemon. A fatal signal ends
	// that.
	for _, how := range []func(dir string, e mtab.Entry) bool{holds, maps} {
		for _, pid := range pids {
			dir := "/proc/" + strconv.Itoa(pid)
			if pid != unix.Getpid() && how(dir, e) {
				holders = append(holders, Process{PID: pid, Name: Name(pid)})
			}
		}
		if len(holders) > 0 {
			break
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
	if err != nil || !below(target, e) {
		return false
	}
	fd, err := pathfd.Open(unix.AT_FDCWD, link, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	found, err := mtab.ByFDAs(fd, e)
	return err == nil && mtab.Same(found, e)
}

// below says whether a path leads to or into the mount, by its text. A mount outside of the
// process's root has none.
func below(path string, e mtab.Entry) bool {
	return e.Mountpoint != "" && (path == e.Mountpoint || strings.HasPrefix(path, e.Mountpoint+"/"))
}

// maps says whether a process has mapped a file of the mount (proc_pid_maps(5)).
func maps(dir string, e mtab.Entry) bool {
	text, err := rawfile.Text(dir + "/maps")
	if err != nil {
		return false
	}
	device := fmt.Sprintf(" %02x:%02x ", e.Major, e.Minor)
	for line := range strings.SplitSeq(text, "\n") {
		before, path, found := strings.Cut(line, "/")
		if found && strings.Contains(before, device) && below("/"+path, e) {
			return true
		}
	}
	return false
}

// Loops gives the loop devices whose files lie below the mount, which keep it busy.
func Loops(e mtab.Entry) (devices []string) {
	for n := range 256 {
		name := "loop" + strconv.Itoa(n)
		text, err := rawfile.Text("/sys/block/" + name + "/loop/backing_file")
		if err == nil && below(strings.TrimSuffix(text, "\n"), e) {
			devices = append(devices, "/dev/"+name)
		}
	}
	return devices
}

// Name is what a process calls itself; it is empty for one that has ended.
func Name(pid int) string {
	text, _ := rawfile.Text("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.TrimSuffix(text, "\n")
}
