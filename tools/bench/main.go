// Command bench compares helpers: time, page faults and threads of a mount and an
// unmount. The helpers alternate, A B A B …, so that ratios hold when the machine's speed
// drifts. Nothing is asserted.
//
// It runs as root in a mount namespace of its own; the helpers run as an ordinary
// user. Several builds can be compared: -helper old,new.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

func main() {
	helpers := flag.String("helper", "", "our helper, or several builds of it, separated by commas")
	reference := flag.String("reference", "/bin/fusermount3", "the helper to compare with")
	service := flag.String("service", "", "the mount service, for the helper without rights; none: no such part")
	empty := flag.String("empty", "", "a program that does nothing, for comparison")
	runs := flag.Int("runs", 200, "rounds with few mounts")
	crowd := flag.Int("crowd", 5000, "other mounts in the last part; 0: no such part")
	flag.Parse()
	if os.Getenv("BENCH_INSIDE") == "" {
		os.Exit(enter())
	}
	runtime.LockOSThread() // a tracer is a thread
	if err := bench(strings.Split(*helpers, ","), *reference, *service, *empty, *runs, *crowd); err != nil {
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

func bench(ours []string, reference, service, empty string, runs, crowd int) error {
	stage, err := setUp()
	if err != nil {
		return err
	}
	c := &helper{name: "C", path: reference}
	helpers := []*helper{c}
	for _, path := range ours {
		h := &helper{name: "ours", path: path}
		if len(ours) > 1 {
			h.name = filepath.Base(path)
		}
		helpers = append(helpers, h)
		if st, err := os.Stat(path); err == nil {
			fmt.Printf("%s: %.2f MB\n", path, float64(st.Size())/1e6)
		}
	}
	none := &helper{name: "empty Go", path: empty}
	for i, h := range append(helpers, none) {
		if h.path == "" {
			continue
		}
		if h.path, err = install(h.path, filepath.Join(stage, fmt.Sprint("helper", i))); err != nil {
			return err
		}
	}
	b := &board{mountpoint: filepath.Join(stage, "mnt"), helpers: helpers}
	if service != "" {
		if err := byService(stage, service, helpers[len(helpers)-1], runs); err != nil {
			return err
		}
	}
	if err := b.starts(none, runs); err != nil {
		return err
	}
	if err := b.rounds("few mounts", runs); err != nil {
		return err
	}
	if err := b.watchers(runs / 2); err != nil {
		return err
	}
	if err := b.twoPhases(runs / 2); err != nil {
		return err
	}
	if crowd == 0 {
		return nil
	}
	if err := fill(stage, crowd); err != nil {
		return err
	}
	return b.rounds(fmt.Sprintf("%d other mounts", crowd), max(runs/10, 5))
}
