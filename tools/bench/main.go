// Command bench times a mount and an unmount through two helpers in turn, A B
// A B …, so that the ratio holds when the machine's speed drifts.
//
// It runs as root in a mount namespace of its own; the helpers run as an
// ordinary user.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const user = 4242

type helper struct {
	name, path      string
	mount, unmounts []time.Duration
	private         int // memory of a watcher, in kB
}

func main() {
	ours := flag.String("helper", "", "our helper")
	reference := flag.String("reference", "/bin/fusermount3", "the helper to compare with")
	runs := flag.Int("runs", 200, "rounds with few mounts")
	crowd := flag.Int("crowd", 5000, "other mounts in the second part")
	flag.Parse()
	if os.Getenv("BENCH_INSIDE") == "" {
		os.Exit(enter())
	}
	if err := bench(*ours, *reference, *runs, *crowd); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// enter runs this program again in a mount namespace of its own, so that all
// of its mounts end with it.
func enter() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "BENCH_INSIDE=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func bench(ours, reference string, runs, crowd int) error {
	stage, err := setUp()
	if err != nil {
		return err
	}
	a := &helper{name: "ours", path: filepath.Join(stage, "ours")}
	b := &helper{name: "reference", path: filepath.Join(stage, "reference")}
	for _, c := range []struct{ from, to string }{{ours, a.path}, {reference, b.path}} {
		if err := install(c.from, c.to); err != nil {
			return err
		}
	}
	if st, err := os.Stat(ours); err == nil {
		fmt.Printf("size of %s: %.2f MB\n", filepath.Base(ours), float64(st.Size())/1e6)
	}
	mountpoint := filepath.Join(stage, "mnt")
	if err := part("few mounts", mountpoint, a, b, runs); err != nil {
		return err
	}
	if err := watchers(mountpoint, a, b, runs/2); err != nil {
		return err
	}
	if err := twoPhases(mountpoint, a, runs/2); err != nil {
		return err
	}
	if err := fill(stage, crowd); err != nil {
		return err
	}
	return part(fmt.Sprintf("%d other mounts", crowd), mountpoint, a, b, max(runs/10, 5))
}

func setUp() (stage string, err error) {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	stage = "/mnt"
	if err := unix.Mount("bench", stage, "tmpfs", 0, "mode=0755"); err != nil {
		return "", fmt.Errorf("mount tmpfs: %w", err)
	}
	node := filepath.Join(stage, "fuse")
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil {
		return "", fmt.Errorf("mknod: %w", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return "", err
	}
	if err := unix.Mount(node, "/dev/fuse", "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("bind /dev/fuse: %w", err)
	}
	mountpoint := filepath.Join(stage, "mnt")
	if err := os.Mkdir(mountpoint, 0o755); err != nil {
		return "", err
	}
	// The C helper asks the user database for a name.
	passwd := filepath.Join(stage, "passwd")
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", err
	}
	text = append(text, fmt.Sprintf("bench:x:%d:%d::/:/bin/sh\n", user, user)...)
	if err := os.WriteFile(passwd, text, 0o644); err != nil {
		return "", err
	}
	if err := unix.Mount(passwd, "/etc/passwd", "", unix.MS_BIND, ""); err != nil {
		return "", err
	}
	return stage, os.Chown(mountpoint, user, user)
}

func install(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		return err
	}
	return os.Chmod(to, 0o755|os.ModeSetuid)
}

// fill makes other mounts, of a file system that is not FUSE.
func fill(stage string, n int) error {
	for i := range n {
		dir := filepath.Join(stage, "crowd", strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("crowd", dir, "tmpfs", 0, "size=4k"); err != nil {
			return err
		}
	}
	return nil
}
