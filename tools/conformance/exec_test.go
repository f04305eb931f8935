package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// bait is part of every value of the hostile environment. A path with it can only come
// from there.
const bait = "bait-of-the-caller"

// hostileEnvironment sets the variables of dynamic linkers, libmount, modprobe, Go and C
// libraries. Each file and directory that it names exists.
func hostileEnvironment(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(fusetest.Dir(t, alice), bait)
	file := filepath.Join(dir, "file")
	writeFile(t, file, "x")
	env := []string{
		"FUSE_KERN_DEVICE=" + file, "TZ=" + file, "TZDIR=" + dir, "MODPROBE_OPTIONS=-C " + dir, "ENV=" + file,
		"GODEBUG=netdns=go+2,http2debug=2", "GOTRACEBACK=crash", "GORACE=log_path=" + file, "GOCOVERDIR=" + dir,
		"SSLKEYLOGFILE=" + file, "USER=" + bait, "LOGNAME=" + bait, "LANG=" + bait, "LC_ALL=" + bait, "IFS=/",
	}
	for _, name := range []string{
		"LD_PRELOAD", "LD_AUDIT", "LD_ORIGIN_PATH", "LD_DEBUG_OUTPUT", "LIBMOUNT_FSTAB", "LIBMOUNT_MTAB",
		"LIBMOUNT_UTAB", "LOCALDOMAIN", "RESOLV_HOST_CONF", "HOSTALIASES", "NLSPATH", "BASH_ENV", "BLKID_FILE",
	} {
		env = append(env, name+"="+file)
	}
	for _, name := range []string{
		"LD_LIBRARY_PATH", "PATH", "HOME", "PWD", "OLDPWD", "TMPDIR", "GOROOT", "GOPATH", "LOCPATH", "GCONV_PATH",
		"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "CDPATH",
	} {
		env = append(env, name+"="+dir)
	}
	return env
}

// tracer is strace, and the file that it writes to.
type tracer struct{ program, output string }

func newTracer(t *testing.T) tracer {
	t.Helper()
	program, err := exec.LookPath("strace")
	if err != nil {
		fusetest.Skip(t, "install strace: apt-get install strace")
	}
	return tracer{program, filepath.Join(fusetest.Dir(t, 0), "trace")}
}

// wrap runs a call under strace, as root, so that a setuid bit has its effect. Only the
// helper gets the environment.
func (tr tracer) wrap(call helpertest.Call, user string) helpertest.Call {
	args := []string{"-f", "-s", "4096", "-o", tr.output, "-e", "trace=%file,%process,epoll_create,epoll_create1,eventfd,eventfd2"}
	if user != "" {
		args = append(args, "-u", user)
	}
	for _, variable := range call.Env {
		args = append(args, "-E", variable)
	}
	call.Env = nil
	call.Args = append(append(args, call.Prog), call.Args...)
	call.Prog, call.KeepRoot = tr.program, true
	return call
}

// lines returns the traced calls without the pid, and leaves out lines that are no call.
func (tr tracer) lines(t *testing.T) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(tr.output)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "+++") {
			lines = append(lines, line)
		}
	}
	return lines
}

var (
	quoted = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
	starts = regexp.MustCompile(`^(?:execve|execveat|fork|vfork|clone|clone3)\(`)

	// opened are the calls that make, open, change or remove a file. Other calls of the
	// trace examine one, or mount.
	opened = regexp.MustCompile(`^(?:open|openat|openat2|creat|unlink\w*|rename\w*|link\w*|symlink\w*|mk\w+|chmod|f?chown\w*|truncate|chdir|execve)\(`)

	// runtimePaths are the files that the Go runtime opens before main.
	runtimePaths = regexp.MustCompile(`^/sys/kernel/mm/transparent_hugepage/hpage_pmd_size$|^/proc/self/(?:cgroup|mountinfo|auxv)$|/cpu\.(?:max|cfs_(?:quota|period)_us)$`)

	// deviceInfo says which connection the device serves.
	deviceInfo = regexp.MustCompile(`^/proc/self/fdinfo/\d+$`)
)

// helperPaths are the files that the helper may open for a mountpoint.
func helperPaths(call helpertest.Call, mountpoint string) []string {
	return []string{
		call.Prog, filepath.Dir(mountpoint), filepath.Base(mountpoint), "/", "/dev/fuse", "/dev/null",
		"/etc/fuse.conf", "/proc/filesystems", "/proc/self/mountinfo",
		"/run/mount/utab", "/run/mount/utab.lock", "/run/mount/utab.fusermount",
	}
}

// wantQuiet wants a trace in which the helper runs no program, and opens nothing that is
// not on its list.
func (tr tracer) wantQuiet(t *testing.T, allowed []string) {
	t.Helper()
	programs, device := 0, false
	for _, line := range tr.lines(t) {
		switch {
		case strings.HasPrefix(line, "execve(") && programs == 0:
			programs++
			continue // its arguments include the environment
		case starts.MatchString(line) && !strings.Contains(line, "CLONE_THREAD"):
			t.Errorf("started: %s", line)
		case strings.Contains(line, bait):
			t.Errorf("from the environment: %s", line)
		}
		if !opened.MatchString(line) {
			continue
		}
		for _, path := range quoted.FindAllStringSubmatch(line, -1) {
			device = device || path[1] == "/dev/fuse"
			if !slices.Contains(allowed, path[1]) && !runtimePaths.MatchString(path[1]) && !deviceInfo.MatchString(path[1]) {
				t.Errorf("opened: %s", line)
			}
		}
	}
	if programs != 1 || strings.Contains(strings.Join(allowed, " "), "/dev/fuse") != device {
		t.Errorf("%d programs, device %v: this is no trace of the helper\n%s", programs, device, strings.Join(tr.lines(t), "\n"))
	}
}

// traced prepares a call with a hostile environment, and a utab to write.
func traced(t *testing.T, uid uint32) (call helpertest.Call, mountpoint string) {
	t.Helper()
	addUsers(t)
	call, mountpoint = asUser(t)
	if uid == 0 {
		call.UID, call.GID, call.KeepRoot = 0, 0, true
		mountpoint = fusetest.Dir(t, 0)
	}
	call.Env = hostileEnvironment(t)
	call.Args = []string{"-o", "x-a,fsname=f,subtype=s", mountpoint}
	writeFile(t, "/run/mount/utab", "")
	writeFile(t, "/etc/fuse.conf", "user_allow_other\n")
	t.Cleanup(func() { _, _ = os.RemoveAll("/run/mount"), os.Remove("/etc/fuse.conf") })
	return call, mountpoint
}

func without(list []string, drop string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == drop })
}

// CVE-2015-3202 and the like: no program is run, and the environment leads to no file.
// For the user the helper is set-uid here; for root it trusts its caller more.
func TestRunsAndOpensNothing(t *testing.T) {
	ways := map[string][]helpertest.Denied{
		"as-it-is": nil, "mount2-mountinfo": helpertest.Deny(unix.ENOSYS, "fsopen", "statmount", "listmount"),
	}
	for user, uid := range map[string]uint32{"": 0, "alice": alice} {
		for way, deny := range ways {
			t.Run("user "+user+"/"+way, func(t *testing.T) {
				tr := newTracer(t)
				call, mountpoint := traced(t, uid)
				allowed := helperPaths(call, mountpoint)
				call.Deny = deny
				wantMounted(t, run(t, tr.wrap(call, user)), mountpoint)
				tr.wantQuiet(t, allowed)
				call.Socket = helpertest.NoSocket
				call.Args = []string{"-u", mountpoint}
				if r := run(t, tr.wrap(call, user)); r.Exit != 0 || r.Stderr != "" {
					t.Fatalf("unmount: exit %d, %s", r.Exit, r.Stderr)
				}
				wantNothing(t, mountpoint)
				tr.wantQuiet(t, without(allowed, "/dev/fuse"))
			})
		}
	}
}

// The same for a watcher until its end. The helper must not start the Go runtime's
// poller, whose descriptor would stay open for days.
func TestWatcherRunsNothing(t *testing.T) {
	tr := newTracer(t)
	call, mountpoint := traced(t, alice)
	call.Args = []string{"-o", "auto_unmount", mountpoint}
	w := startWatch(t, tr.wrap(call, "alice"), mountpoint)
	wantThere(t, mountpoint)
	w.die(t)
	w.wantExit(t, 0)
	wantNothing(t, mountpoint)
	tr.wantQuiet(t, append(helperPaths(call, mountpoint), "/proc/self/fd", "/proc/self/task"))
	for _, line := range tr.lines(t) {
		if strings.HasPrefix(line, "epoll_") || strings.HasPrefix(line, "eventfd") {
			t.Errorf("the runtime's poller was started: %s", line)
		}
	}
}

// Only the kernel loads the module.
func TestAbsentDeviceRunsNothing(t *testing.T) {
	tr := newTracer(t)
	call, mountpoint := traced(t, alice)
	privateDev(t)
	wantRefusal(t, run(t, tr.wrap(call, "alice")), mountpoint, absentDevice)
	tr.wantQuiet(t, helperPaths(call, mountpoint))
}
