package main

import (
	"path/filepath"
	"regexp"
	"slices"

	"github.com/go-fusermount/fusermount/tools/vm/plan"
)

// place is where the tests run: in a guest, or on this machine.
type place struct {
	programs string // the directory of the test programs
	helper   string
	source   string // what the tests read of this repository lies below
	scripts  string // which of the scripts' ways
	env      []string
}

// The steps. Their names stand in results and in rows of the table.
const (
	stepModules  = "modules"
	stepScripts  = "scripts"
	stepAttacks  = "attacks"
	stepTables   = "mtab"
	stepRights   = "priv"
	stepFilter   = "confine"
	stepControl  = "fusectl"
	stepLook     = "look"
	stepThreads  = "threads"
	stepAppArmor = "apparmor"
)

// The scripts run with both old ways forced, and as the kernel makes it: in a
// guest under the AppArmor profile, once for both. What the other ways add is
// the same on every kernel, and 'make test' runs it here.
const (
	oldWays  = "^TestOurs$/^mount2-mountinfo$"
	bothWays = "^TestOurs$/^(as-it-is|mount2-mountinfo)$"

	// The command line and the settings are the same, too, and a profile has nothing
	// to do with the former.
	notTwice = "^TestOurs$/^mount2-mountinfo$/^(cli|conf)$"
	notUnder = "^TestAppArmorOwnProfile$/^scripts$/^cli$"
)

// notHere are tests that belong to other steps, that look at no kernel, or that
// need what an image has not (a compiler).
const notHere = "^(TestOurs|TestReference.*|TestCompatRows|TestCommandLines|TestVersionInScripts|TestModule.*|TestAppArmor.*|TestSyncInitLimit|TestBuiltWithC|" +
	"TestCheckConf|TestCommNumbers|TestHeldLock|TestLimits|TestNoThreads|TestWithoutSubtypes)$"

// kernelTable are the tests of reading the kernel's table, for each of its
// kinds. The tables of user space are the same everywhere.
const kernelTable = "^Test(Of.*|IsRoot|Inside.*|Count.*|Connections|Names|LongName|NotListed)$"

// threadTests look at what the threads of the helper are, and change settings of the
// whole machine for that.
const threadTests = "^Test(Dumpable|Attached)$"

// steps are the tests for one kernel, those first that want fuse unloaded.
func (p place) steps(part string) []plan.Step {
	load := []string{"fuse", "loop"}
	all := []plan.Step{
		p.step(stepModules, "conformance", nil, "-test.run", "^TestModule"),
		p.step(stepScripts, "conformance", load, "-test.run", p.scripts, "-test.skip", notTwice),
		p.step(stepAttacks, "conformance", load, "-test.short", "-test.skip", notHere),
		p.step(stepTables, "mtab", load, "-test.run", kernelTable),
		p.step(stepRights, "priv", load, "-test.run", "^Test"),
		p.step(stepFilter, "seccomp", load, "-test.run", "^Test"),
		p.step(stepControl, "connection", load, "-test.run", "^Test"),
		p.step(stepLook, "collect", load, "-test.run", "^Test"),
		p.step(stepThreads, "races", load, "-test.run", threadTests),
		p.step(stepAppArmor, "conformance", load, "-test.run", "^TestAppArmor", "-test.skip", notUnder),
	}
	return slices.DeleteFunc(all, func(s plan.Step) bool {
		matched, err := regexp.MatchString(part, s.Name)
		return err == nil && !matched
	})
}

func (p place) step(name, program string, load []string, args ...string) plan.Step {
	argv := append([]string{filepath.Join(p.programs, program+".test"), "-test.v=test2json", "-test.timeout=10m"}, args...)
	return plan.Step{
		Name: name, Load: load, Argv: argv, Env: slices.Concat(p.env, []string{"FUSERMOUNT_HELPER=" + p.helper}),
		Dir: filepath.Join(p.source, "tools/conformance"),
	}
}
