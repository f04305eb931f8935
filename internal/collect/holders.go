package collect

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Holder is a process that uses a mount.
type Holder struct {
	PID  int
	Name string // as the process calls itself
}

// Holders gives the processes that the caller may look into and that keep a mount
// busy: by a working or root directory, a program, or an open file. The mount's
// path narrows the search, its id decides.
//
// What a process has mapped into its memory without the file open is not seen:
// that list can make its reader wait for a process that waits for the daemon.
func Holders(e mtab.Entry) (holders []Holder, err error) {
	pids, err := rawfile.Numbers("/proc")
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		if pid != unix.Getpid() && holds(dir, e) {
			holders = append(holders, Holder{PID: pid, Name: firstLine(dir + "/comm")})
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

// leadsInto says whether a link of procfs leads into a mount. To follow such a link
// is not to look anything up: no daemon is asked.
func leadsInto(link string, e mtab.Entry) bool {
	target := linkText(link)
	if e.Mountpoint == "" || target != e.Mountpoint && !strings.HasPrefix(target, e.Mountpoint+"/") {
		return false // the first: a mount outside of the process's root
	}
	fd, err := rawfile.Open(link, unix.O_PATH, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	found, err := mtab.ByFDAs(fd, e)
	return err == nil && mtab.Same(found, e)
}
