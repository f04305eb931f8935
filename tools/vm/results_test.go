package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

// What a test program prints with -test.v=test2json.
const (
	passes = "\x16=== RUN   TestA\n    a_test.go:1: fact fuse=built in\n\x16--- PASS: TestA (0.00s)\n\x16=== NAME  \nPASS\n"
	fails  = "\x16=== RUN   TestB\n    b_test.go:1: why\n\x16--- FAIL: TestB (0.00s)\n\x16=== NAME  \nFAIL\n"
	skips  = "\x16=== RUN   TestC\n    c_test.go:1: to run this test, run a kernel with fire\n\x16--- SKIP: TestC (0.00s)\n\x16=== NAME  \nPASS\n"
	lacks  = "\x16=== RUN   TestD\n    d_test.go:1: to run this test, install strace\n\x16--- SKIP: TestD (0.00s)\n\x16=== NAME  \nPASS\n"
)

func step(name, output, status string) string {
	return plan.Begin + name + "\n" + output + plan.End + name + " " + status + "\n"
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		err     string // of reading
		verdict string // empty: all is well
	}{
		"passes":             {text: step("a", passes, "0") + plan.Done + "\n"},
		"cut off":            {text: step("a", passes, "0"), err: "cut off"},
		"cut off in a step":  {text: plan.Begin + "a\n" + passes + plan.Done + "\n", err: "step a has no end"},
		"fails":              {text: step("a", passes, "0") + step("b", fails, "1") + plan.Done + "\n", verdict: "b: TestB"},
		"dies":               {text: step("a", passes+"panic: no\n", "2") + plan.Done + "\n", verdict: "exit status 2"},
		"another kernel":     {text: step("c", skips, "0") + plan.Done + "\n"},
		"something lacks":    {text: step("d", lacks, "0") + plan.Done + "\n", verdict: "install strace"},
		"no newline at last": {text: step("a", passes+"partial", "0") + plan.Done + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readRecords(t.TempDir(), "6.1", []byte(c.text))
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("read: %v; want %q", err, c.err)
			}
			if err != nil {
				return
			}
			verdict := got.verdict()
			if (verdict == nil) != (c.verdict == "") || (verdict != nil && !strings.Contains(verdict.Error(), c.verdict)) {
				t.Errorf("verdict: %v; want %q", verdict, c.verdict)
			}
			if strings.HasPrefix(c.text, plan.Begin+"a") && (got.facts["fuse"] != "built in" || got.tests["a/TestA"] != "pass") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A test whose parts are all skipped shows nothing.
func TestReadParts(t *testing.T) {
	text := "\x16=== RUN   TestE\n"
	for _, part := range []string{"one", "two"} {
		text += "\x16=== RUN   TestE/" + part + "\n    e_test.go:1: run a kernel with fire\n\x16--- SKIP: TestE/" + part + " (0.00s)\n"
	}
	text += "\x16=== NAME  TestE\n\x16--- PASS: TestE (0.00s)\n\x16=== NAME  \nPASS\n"
	for name, c := range map[string]struct{ text, want string }{
		"all skip": {text, "skip"},
		"one runs": {strings.Replace(text, "--- SKIP: TestE/one", "--- PASS: TestE/one", 1), "pass"},
	} {
		got, err := readRecords(t.TempDir(), "6.1", []byte(step("e", c.text, "0")+plan.Done+"\n"))
		if err != nil || got.tests["e/TestE"] != c.want {
			t.Errorf("%s: %v, %v; want %q", name, got.tests, err, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	ran := func(kernel, fuse, outcome string) column {
		return column{
			kernel: kernel, facts: map[string]string{"fuse": fuse},
			tests: map[string]string{"scripts/TestOurs": outcome, "attacks/TestX": "pass", "attacks/TestSyncInit": "skip"},
		}
	}
	readme := filepath.Join(t.TempDir(), "README.md")
	const around = "text\n\n" + before + "| Linux |\n| --- |\n" + after + "\nmore\n"
	if err := os.WriteFile(readme, []byte(around), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := compare(readme, []column{ran("6.1", "module", "pass"), ran("6.18", "built in", "pass")}, true); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"text\n\n", "| Linux | 6.1 | 6.18 |\n", "| FUSE is | module | built in |\n", "more\n", "| – | – |\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	for name, c := range map[string]struct {
		columns []column
		err     string
	}{
		"the same":          {[]column{ran("6.1", "module", "pass"), ran("6.18", "built in", "pass")}, ""},
		"one is missing":    {[]column{ran("6.18", "built in", "pass")}, ""},
		"one is not listed": {[]column{ran("6.1", "module", "pass"), ran("7.9", "gone", "skip")}, ""},
		"a fact differs":    {[]column{ran("6.1", "built in", "pass")}, `"FUSE is" is "built in" now`},
		"a test is skipped": {[]column{ran("6.18", "built in", "skip")}, `is "–" now`},
	} {
		t.Run(name, func(t *testing.T) {
			err := compare(readme, c.columns, false)
			if (err == nil) != (c.err == "") || (err != nil && !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v; want %q", err, c.err)
			}
		})
	}
}
