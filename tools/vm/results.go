package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

// column is the result on one kernel.
type column struct {
	kernel  string
	tests   map[string]string // by "STEP/TEST", without parts: pass, fail or skip
	facts   map[string]string // that tests have logged
	counts  map[string]int    // by outcome, with parts
	failed  []string          // failures, with their output
	skipped []string          // tests that should have run
	took    time.Duration
	worked  time.Duration // of processors
}

func (c column) String() string {
	return fmt.Sprintf("Linux %s: %d passed, %d failed, %d skipped in %v, of which %v of processor time", c.kernel,
		c.counts["pass"], c.counts["fail"], c.counts["skip"], c.took.Round(time.Second), c.worked.Round(time.Second))
}

// verdict returns an error unless all tests have passed, or were skipped for a known
// reason.
func (c column) verdict() error {
	var all error
	for _, text := range append(c.failed, c.skipped...) {
		all = errors.Join(all, fmt.Errorf("linux %s: %s", c.kernel, text))
	}
	return all
}

// readRecords reads the records of a run, which must be complete, and keeps the events
// of the tests in dir as NAME.json.
func readRecords(dir, kernel string, text []byte) (column, error) {
	c := column{kernel: kernel, tests: map[string]string{}, facts: map[string]string{}, counts: map[string]int{}}
	text, complete := bytes.CutSuffix(text, []byte(plan.Done+"\n"))
	if !complete {
		return c, errors.New("the run was cut off")
	}
	var events bytes.Buffer
	for part := range strings.SplitSeq(string(text), plan.Begin) {
		if part == "" {
			continue
		}
		name, rest, _ := strings.Cut(part, "\n")
		output, end, found := strings.Cut(rest, plan.End+name+" ")
		status, err := strconv.Atoi(strings.TrimSpace(end))
		if !found || err != nil {
			return c, fmt.Errorf("step %s has no end: %q", name, end)
		}
		list, err := toEvents(name, output)
		if err != nil {
			return c, err
		}
		events.Write(list)
		if err := c.add(name, list, status); err != nil {
			return c, err
		}
	}
	return c, os.WriteFile(filepath.Join(dir, kernel+".json"), events.Bytes(), 0o644)
}

// toEvents converts the output of a test program by Go's own tool.
func toEvents(step, output string) ([]byte, error) {
	cmd := exec.Command("go", "tool", "test2json", "-p", step)
	cmd.Stdin, cmd.Stderr = strings.NewReader(output), os.Stderr
	return cmd.Output()
}

// event is test2json's.
type event struct {
	Action, Test, Output string
}

// add counts the events of one step.
func (c *column) add(step string, list []byte, status int) error {
	output := map[string]string{} // by test
	bad := len(c.failed)
	for dec := json.NewDecoder(bytes.NewReader(list)); ; {
		var e event
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF):
			if status != 0 && len(c.failed) == bad {
				c.failed = append(c.failed, fmt.Sprintf("%s: exit status %d\n%s", step, status, output[""]))
			}
			return nil
		case err != nil:
			return err
		}
		switch e.Action {
		case "output":
			output[e.Test] += e.Output
			if _, fact, found := strings.Cut(strings.TrimSpace(e.Output), ": fact "); found {
				key, value, _ := strings.Cut(fact, "=")
				c.facts[key] = value
			}
		case "pass", "fail", "skip":
			if e.Test != "" {
				c.end(step, e, output[e.Test])
			}
		}
	}
}

// allowed are the reasons for which a test may be skipped here: another kernel or another
// target runs it, or 'make test', since the guest has neither cgroups nor autofs.
var allowed = regexp.MustCompile(`run a kernel with |use Linux [0-9]|run 'make test-|provide a cgroup file system|load the kernel module autofs4`)

func (c *column) end(step string, e event, output string) {
	c.counts[e.Action]++
	name, _, isPart := strings.Cut(e.Test, "/")
	name = step + "/" + name
	switch was := c.tests[name]; {
	case isPart && was != "pass":
		c.tests[name] = e.Action
	case !isPart && (e.Action != "pass" || was != "skip"): // Go reports a test whose parts all skip as passed
		c.tests[name] = e.Action
	}
	text := fmt.Sprintf("%s: %s\n%s", step, e.Test, output)
	switch {
	case e.Action == "fail":
		c.failed = append(c.failed, text)
	case e.Action == "skip" && !allowed.MatchString(output):
		c.skipped = append(c.skipped, text)
	}
}
