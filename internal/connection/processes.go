package connection

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-fusermount/fusermount/internal/fusedev"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// devices are the fuse devices that processes hold, as far as this one may see.
type devices struct {
	// of are processes by the number of the connection. A device whose connection has
	// ended keeps the number, which may be another's by now.
	of map[uint32][]int
	// nameless are processes with a device of which the kernel does not tell the
	// connection: on older kernels, or because it is not mounted yet.
	nameless []int
	// hidden says that there are processes that may not be looked into, or may be
	// some in other namespaces that are not even listed.
	hidden bool
}

// firstPIDs is the link of the first PID namespace, in which all processes are seen
// (linux/proc_ns.h, PROC_PID_INIT_INO).
const firstPIDs = "pid:[4026531836]"

// findDevices looks through all processes. It reads where descriptors lead to, and
// does not follow them.
func findDevices() *devices {
	d := &devices{of: map[uint32][]int{}}
	pids, err := rawfile.Numbers("/proc")
	namespace, other := os.Readlink("/proc/self/ns/pid")
	d.hidden = err != nil || other != nil || namespace != firstPIDs // or no /proc
	for _, pid := range pids {
		d.look(pid)
	}
	return d
}

func (d *devices) look(pid int) {
	process := procDir(pid)
	fds, err := os.ReadDir(process + "/fd")
	d.hidden = d.hidden || errors.Is(err, fs.ErrPermission)
	for _, fd := range fds {
		link, err := os.Readlink(process + "/fd/" + fd.Name())
		if err != nil || !strings.Contains(filepath.Base(link), "fuse") {
			continue
		}
		if n, ok := fusedev.ConnectionIn(process + "/fdinfo/" + fd.Name()); ok {
			d.of[n] = add(d.of[n], pid)
		} else if link == fusedev.Path {
			d.nameless = add(d.nameless, pid)
		}
	}
}

// add adds a process that may hold several descriptors of a device.
func add(pids []int, pid int) []int {
	if n := len(pids); n > 0 && pids[n-1] == pid {
		return pids
	}
	return append(pids, pid)
}

// sees says whether a mount's daemon would have been seen: that of a user's own
// mount is the user's process, any other's is seen by root, and not by every root.
func (d *devices) sees(e mtab.Entry, who Caller) bool {
	owner, known := e.Owner()
	return known && owner == who.UID || who.UID == 0 && !d.hidden
}

func procDir(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// activity is a number that changes when a thread of the processes does anything: the
// sum of their context switches and of their CPU time. A daemon whose threads only
// wait has no part in it.
func activity(pids []int) (sum uint64) {
	forThreads(pids, func(status, stat string) {
		for line := range strings.SplitSeq(status, "\n") {
			if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "voluntary_ctxt_switches") {
				sum += number(strings.TrimSpace(value))
			}
		}
		// proc_pid_stat(5): fields 14 and 15 are utime and stime, and the name in
		// field 2 may have blanks.
		if fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]); len(fields) > 12 {
			sum += number(fields[11]) + number(fields[12])
		}
	})
	return sum
}

// conditions says whether all threads are stopped, and whether one is blocked.
func conditions(pids []int) (stopped, blocked bool) {
	threads, halted := 0, 0
	forThreads(pids, func(_, stat string) {
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if len(fields) == 0 {
			return
		}
		threads++
		switch fields[0] {
		case "T", "t":
			halted++
		case "D":
			blocked = true
		}
	})
	return threads > 0 && halted == threads, blocked
}

// forThreads reads the files of each thread. None of them makes their reader wait for
// the process.
func forThreads(pids []int, f func(status, stat string)) {
	for _, pid := range pids {
		tasks := procDir(pid) + "/task"
		tids, err := rawfile.Numbers(tasks)
		if err != nil {
			continue // it has ended
		}
		for _, tid := range tids {
			dir := tasks + "/" + strconv.Itoa(tid)
			status, err := rawfile.Text(dir + "/status")
			if err != nil {
				continue
			}
			if stat, err := rawfile.Text(dir + "/stat"); err == nil {
				f(status, stat)
			}
		}
	}
}

func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
