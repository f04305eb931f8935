// Command vm runs the tests of the command on other kernels: it boots each of
// them under qemu with an image that has nothing but these tests, runs the same
// tests on this machine's kernel, and holds the table in README.md to what came
// out.
//
// It is called by 'make test-vm', from the repository's root, after what it
// needs was built and fetched.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"
)

// kernels are those to boot. The list of packages decides what each is; an
// optional one may be gone from Debian's archive one day.
var kernels = []struct {
	name     string
	optional bool
}{
	{"5.10", true},
	{"6.1", false},
	{"6.12", false},
}

type settings struct {
	dir     string // what was built and fetched, and the results
	helper  string
	readme  string
	update  bool
	timeout time.Duration
	only    string // kernels, for who looks into one
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
	columns, all := s.onGuests()
	if s.only == "" {
		host, err := s.onHost()
		if err != nil {
			return errors.Join(all, fmt.Errorf("this machine: %w", err))
		}
		columns = append(columns, host...)
	}
	for _, c := range columns {
		all = errors.Join(all, c.verdict())
	}
	if all != nil || s.only+s.part != "" {
		return all
	}
	return s.compare(columns)
}

// onGuests boots the kernels that can be had, all at once: an emulated machine
// keeps one processor busy, and waits much.
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
		guests.Go(func() {
			runtime.LockOSThread() // qemu ends with the thread that started it
			c, err := s.onGuest(k.name)
			if err != nil {
				failed[i] = fmt.Errorf("linux %s: %w", k.name, err)
			}
			columns[i] = c
		})
	}
	guests.Wait()
	columns = slices.DeleteFunc(columns, func(c column) bool { return c.kernel == "" })
	return columns, errors.Join(failed...)
}

// missing says why the packages of a kernel are not there.
func (s settings) missing(name string) (why string, missing bool) {
	for _, name := range []string{name, "apparmor"} {
		text, err := os.ReadFile(filepath.Join(s.dir, "packages", name+".missing"))
		if err == nil {
			return string(text), true
		}
	}
	return "", false
}
