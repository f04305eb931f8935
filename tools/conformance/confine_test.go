package conformance

import (
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// wantFiltered wants all threads of a process to have seccomp filters and no_new_privs.
func wantFiltered(t *testing.T, pid int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*")
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			t.Fatal(err)
		}
		// /proc/TID works for a thread, too.
		if s := status(t, tid); s["Seccomp"] != "2" || s["NoNewPrivs"] != "1" {
			t.Errorf("thread %d: Seccomp %s, NoNewPrivs %s", tid, s["Seccomp"], s["NoNewPrivs"])
		}
	}
}

// The helper can only make the calls that it needs, also while it waits for an answer.
func TestConfinedWhileWaiting(t *testing.T) {
	call, mountpoint := syncCall(t, "")
	s := startSync(t, call, mountpoint)
	wantFiltered(t, s.Pid())
	if err := s.CloseSocket(); err != nil {
		t.Fatal(err)
	}
	s.wantFailed(t, "the caller closed the socket")
}

// Where filters are refused or unknown, the helper works without one. After any other
// failure it ends before it has done anything.
func TestFilterRefused(t *testing.T) {
	for errno, works := range map[unix.Errno]bool{
		unix.ENOSYS: true, unix.EINVAL: true, unix.EPERM: true, unix.EACCES: true, unix.ENOMEM: false, unix.EFAULT: false,
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			call, mountpoint := asUser(t)
			call.Deny = []helpertest.Denied{{Nr: unix.SYS_SECCOMP, Errno: errno}}
			if !works {
				wantRefusal(t, run(t, call), mountpoint, "seccomp: "+errno.Error())
				return
			}
			wantMounted(t, run(t, call), mountpoint)
			wantUnmounted(t, call, mountpoint)
		})
	}
}
