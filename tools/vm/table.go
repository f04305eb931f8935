package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// row is one line of the table: a fact, or the result of some tests.
type row struct {
	label string
	fact  string // that a test has logged
	tests string // else: a regular expression for "STEP/TEST"
}

var rows = []row{
	{label: "FUSE is", fact: "fuse"},
	{label: "a mount is made with", fact: "mounts-with"},
	{label: "the mount table is read with", fact: "reads-with"},
	{label: "the scripts, in the newest and the oldest way", tests: "^(scripts|apparmor)/(TestOurs|TestAppArmorOwnProfile)$"},
	{label: "attacks and misuse", tests: "^attacks/"},
	{label: "without /proc", tests: "^attacks/TestWithoutProc$"},
	{label: "sync-init, the kernel waits for the daemon", tests: "^attacks/TestSyncInit$"},
	{label: "the mount service, for clients in all kinds of namespaces", tests: "^attacks/TestService(Namespaces|OwnConf|Landlock|Strangers|AutoUnmount)"},
	{label: "the parts: mount table, credentials, seccomp, fusectl", tests: "^(mtab|priv|confine|fusectl|look)/"},
	{label: "a user's mount loads the module, by a static node", tests: "^modules/TestModuleStaticNode$"},
	{label: "… without a node; udev opens the new one", tests: "^modules/TestModuleRules$"},
	{label: "… and where nobody opens it, a hint", tests: "^modules/TestModuleClosedNode$"},
	{label: "module loading switched off: a hint", tests: "^modules/TestModuleLoadingOff$"},
	{label: "AppArmor, our profile: the scripts and more, and nothing is refused", tests: "^apparmor/TestAppArmorOwnProfile$"},
	{label: "AppArmor, a profile that knows mount(2) alone: the mount is made with", fact: "apparmor-foreign"},
}

// none is the cell of a kernel without a result.
const none = "–"

func (c column) cell(r row) string {
	if r.fact != "" {
		if value, ok := c.facts[r.fact]; ok {
			return value
		}
		return none
	}
	outcomes := map[string]bool{}
	for test, outcome := range c.tests {
		if matched, err := regexp.MatchString(r.tests, test); err != nil {
			panic(err) // a slip in the table above
		} else if matched {
			outcomes[outcome] = true
		}
	}
	switch {
	case outcomes["fail"]:
		return "fails"
	case outcomes["pass"]:
		return "yes"
	}
	return none
}

// table is the whole table: a header, and the cells of each row.
type table [][]string

func makeTable(columns []column) table {
	header := []string{"Linux"}
	for _, c := range columns {
		header = append(header, c.kernel)
	}
	t := table{header}
	for _, r := range rows {
		line := []string{r.label}
		for _, c := range columns {
			line = append(line, c.cell(r))
		}
		t = append(t, line)
	}
	return t
}

func (t table) String() string {
	var b strings.Builder
	for i, line := range t {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			fmt.Fprintln(&b, "|"+strings.Repeat(" --- |", len(line)))
		}
	}
	return b.String()
}

// The table stands between these lines.
const (
	before = "<!-- This table is made by 'make test-vm UPDATE=1', and held to what the tests say. -->\n\n"
	after  = "\n<!-- The end of the table. -->"
)

// parse reads a table as String writes it.
func parse(text string) (t table) {
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[len(cells)-1] != "---" {
			t = append(t, cells)
		}
	}
	return t
}

// compare compares the results with the table of the document, cell by cell, so that a
// machine may run only a part of it.
func compare(readme string, columns []column, update bool) error {
	text, err := os.ReadFile(readme)
	if err != nil {
		return err
	}
	head, rest, found := strings.Cut(string(text), before)
	old, foot, closed := strings.Cut(rest, after)
	if !found || !closed {
		return fmt.Errorf("%s has no place for the table", readme)
	}
	made := makeTable(columns)
	fmt.Printf("\n%v\n", made)
	if update {
		return os.WriteFile(readme, []byte(head+before+made.String()+after+foot), 0o644)
	}
	var all error
	written := parse(old)
	if len(written) != len(made) {
		return fmt.Errorf("the table in %s has %d lines, and should have %d", readme, len(written), len(made))
	}
	for i, kernel := range made[0][1:] {
		at := slices.Index(written[0], kernel)
		if at < 0 {
			fmt.Printf("not compared: %s says nothing of Linux %s\n", readme, kernel)
			continue
		}
		for n := range made {
			if made[n][0] != written[n][0] || made[n][i+1] != written[n][at] {
				all = errors.Join(all, fmt.Errorf("%s: Linux %s: %q is %q now; it says %q is %q",
					readme, kernel, made[n][0], made[n][i+1], written[n][0], written[n][at]))
			}
		}
	}
	return all
}
