// Command vm runs the tests of the command on other kernels. It boots each of them under
// qemu with an image of these tests, runs the same tests on this machine's kernel, and
// compares the results with the table in README.md.
//
// 'make test-vm' calls it from the repository's root, after it has built and fetched what
// it needs.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

// kernels are those to boot, by the list of packages. An optional one may have left
// Debian's archive.
var kernels = []struct {
	name     string
	optional bool
}{
	{"5.10", true},
	{"6.1", false},
	{"6.12", false},
}

type settings struct {
	dir     string // has what was built and fetched, and the results
	helper  string
	readme  string
	update  bool
	timeout time.Duration
	only    string // the kernels to run
	part    string // steps
}

func main() {
	var s settings
	flag.StringVar(&s.dir, "dir", "build/vm", "where the packages and the test programs are, and the results go")
	flag.StringVar(&s.helper, "helper", "build/fusermount3", "the helper to test")
	flag.StringVar(&s.readme, "readme", "README.md", "the file with the table")
	flag.BoolVar(&s.update, "update", false, "write the table")
	flag.DurationVar(&s.timeout, "timeout", 15*time.Minute, "how long one boot may take")
	flag.StringVar(&s.only, "kernel", "", "boot the kernels that match this regular expression alone, and compare nothing")
	flag.StringVar(&s.part, "step", "", "run the steps that match this regular expression alone, and compare nothing")
	flag.Parse()
	if err := run(s); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func run(s settings) error {
	var columns, host []column
	var all, failed error
	var guests sync.WaitGroup
	guests.Add(1)
	go func() {
		defer guests.Done()
		columns, all = s.onGuests()
	}()
	if s.only == "" {
		host, failed = s.onHost()
	}
	guests.Wait()
	if failed != nil {
		return errors.Join(all, fmt.Errorf("this machine: %w", failed))
	}
	columns = append(columns, host...)
	for _, c := range columns {
		all = errors.Join(all, c.verdict())
	}
	if all != nil || s.only+s.part != "" {
		return all
	}
	return compare(s.readme, columns, s.update)
}

// onGuests boots all available kernels at once: an emulated machine uses one processor,
// and waits much.
func (s settings) onGuests() ([]column, error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return nil, err
	}
	columns, failed := make([]column, len(kernels)), make([]error, len(kernels))
	var guests sync.WaitGroup
	for i, k := range kernels {
		if !only.MatchString(k.name) {
			continue
		}
		if why, missing := s.missing(k.name); missing {
			fmt.Printf("SKIPPED: Linux %s: %s\n", k.name, why)
			if !k.optional && os.Getenv("FUSERMOUNT_TEST_NOSKIP") == "1" {
				failed[i] = fmt.Errorf("linux %s was skipped", k.name)
			}
			continue
		}
		guests.Add(1)
		go func() {
			defer guests.Done()

			runtime.LockOSThread() // qemu ends with the thread that started it
			c, err := s.onGuest(k.name)
			if err != nil {
				failed[i] = fmt.Errorf("linux %s: %w", k.name, err)
			}
			columns[i] = c
		}()
	}
	guests.Wait()
	columns = slices.DeleteFunc(columns, func(c column) bool { return c.kernel == "" })
	return columns, errors.Join(failed...)
}

// missing returns why the packages of a kernel are missing.
func (s settings) missing(name string) (why string, missing bool) {
	for _, name := range []string{name, "apparmor"} {
		text, err := os.ReadFile(filepath.Join(s.dir, "packages", name+".missing"))
		if err == nil {
			return string(text), true
		}
	}
	return "", false
}

// onHost runs the tests on this machine's kernel, if it may, in a mount namespace of
// their own.
func (s settings) onHost() ([]column, error) {
	if os.Geteuid() != 0 {
		fmt.Println("SKIPPED: this machine's kernel: run it as root")
		return nil, nil
	}
	name, err := series()
	if err != nil {
		return nil, err
	}
	source, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	helper, err := filepath.Abs(s.helper)
	if err != nil {
		return nil, err
	}
	programs, err := filepath.Abs(filepath.Join(s.dir, "bin/tests"))
	if err != nil {
		return nil, err
	}
	here := place{programs: programs, helper: helper, source: source, scripts: bothWays, env: os.Environ()}
	start := time.Now()
	var records bytes.Buffer
	var worked time.Duration
	for _, step := range here.steps(s.part) {
		d, err := record(&records, step)
		if err != nil {
			return nil, err
		}
		worked += d
	}
	fmt.Fprintln(&records, plan.Done)
	c, err := readRecords(s.dir, name, records.Bytes())
	if err != nil {
		return nil, err
	}
	c.took, c.worked = time.Since(start), worked
	fmt.Println(c)
	return []column{c}, nil
}

// record runs one step as a guest does.
func record(to *bytes.Buffer, step plan.Step) (worked time.Duration, err error) {
	fmt.Fprintf(to, "%s%s\n", plan.Begin, step.Name)
	cmd := exec.Command(step.Argv[0], step.Argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = step.Env, step.Dir, to, to
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	fmt.Fprintf(to, "%s%s %d\n", plan.End, step.Name, cmd.ProcessState.ExitCode())
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// series is the part of the kernel's version that determines its features.
func series() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	parts := strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)
	if len(parts) < 2 {
		return "", fmt.Errorf("release %q", parts)
	}
	return parts[0] + "." + parts[1], nil
}
