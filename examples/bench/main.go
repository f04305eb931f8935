// Command bench times the client package: a direct mount and unmount against
// the bare system calls, and those by a helper against hanwen/go-fuse's own code
// for the same, with the same helper. The two take turns, A B A B …, so that the
// ratio holds when the machine's speed drifts. Nothing is asserted.
//
// It runs as root, in a mount namespace of its own; what needs a helper runs as an
// ordinary user.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

const (
	user    = 4242
	partEnv = "BENCH_DIRECTORY" // makes this program the user's part
)

func main() {
	helper := flag.String("helper", "", "the helper")
	service := flag.String("service", "", "the mount service; none: no such part")
	reference := flag.String("reference", "/bin/fusermount3", "the helper that go-fuse has in the part of the service")
	runs := flag.Int("runs", 300, "rounds")
	flag.Parse()
	if value, ok := os.LookupEnv(roundsEnv); ok {
		exit(makeRounds(value))
	}
	if dir, ok := os.LookupEnv(partEnv); ok {
		exit(byHelper(dir, *runs))
	}
	os.Exit(fusetest.Run(func() int {
		err := all(*helper, *runs)
		if err == nil && *service != "" {
			err = byService(*service, *reference, *runs)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
		return 0
	}))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func all(helper string, runs int) error {
	if fusetest.Have() != fusetest.Root {
		return errors.New("run it as root: what is timed is a real user's helper")
	}
	dir, remove, err := fusetest.MakeDir(0)
	if err != nil {
		return err
	}
	if err := errors.Join(direct(dir, runs), remove()); err != nil {
		return err
	}
	helper, uninstall, err := fusetest.Install(helper, fusetest.Setuid)
	if err != nil {
		return err
	}
	self, uninstallSelf, err := fusetest.Install("/proc/self/exe", fusetest.Plain)
	if err != nil {
		return err
	}
	dir, remove, err = fusetest.MakeDir(user)
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = []string{partEnv + "=" + dir, "PATH=" + filepath.Dir(helper)}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	return errors.Join(cmd.Run(), remove(), uninstallSelf(), uninstall())
}

// contestant does one thing in two steps, and gives what each took.
type contestant struct {
	round          func() (mount, unmount time.Duration, err error)
	mount, unmount []time.Duration
	faults         []int64 // minor page faults of the helpers in both steps
}

// compare lets two contestants take turns, and prints medians.
func compare(title, otherName string, runs int, ours, other *contestant) error {
	const warmUp = 5
	for i := range runs + warmUp {
		for _, c := range []*contestant{ours, other} {
			runtime.GC() // not while the clock runs
			before := childrensFaults()
			mount, unmount, err := c.round()
			if err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
			if i >= warmUp {
				c.mount = append(c.mount, mount)
				c.unmount = append(c.unmount, unmount)
				c.faults = append(c.faults, childrensFaults()-before)
			}
		}
	}
	fmt.Printf("%s, %d rounds each, medians\n", title, runs)
	fmt.Printf("  %-8s %9s %9s %7s\n", "", "package", otherName, "ratio")
	row("mount", ours.mount, other.mount)
	row("unmount", ours.unmount, other.unmount)
	row("both", sums(ours), sums(other))
	if faults := median(ours.faults); faults > 0 {
		fmt.Printf("  %-8s %9d %9d\n", "faults", faults, median(other.faults))
	}
	return nil
}

// childrensFaults counts those of the children that have ended and were waited for.
func childrensFaults() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		return 0
	}
	return int64(usage.Minflt)
}

func sums(c *contestant) (all []time.Duration) {
	for i := range c.mount {
		all = append(all, c.mount[i]+c.unmount[i])
	}
	return all
}

func row(name string, a, b []time.Duration) {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	fmt.Printf("  %-8s %7dus %7dus %7.2f\n", name, median(a).Microseconds(), median(b).Microseconds(), median(ratios))
}

func median[T time.Duration | float64 | int64](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
