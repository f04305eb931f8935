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
	source   string // the directory of the files of this repository that the tests read
	scripts  string // a pattern for the ways of the scripts
	env      []string
}

// The steps. Their names are in the results and in the rows of the table.
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

// The scripts run with both fallbacks forced, and with what the kernel has. In a guest
// the AppArmor profile is tried, too. The other ways are the same on every kernel, and
// 'make test' runs them here.
const (
	oldWays  = "^TestOurs$/^mount2-mountinfo$"
	bothWays = "^TestOurs$/^(as-it-is|mount2-mountinfo)$"

	// The command line and the settings do not depend on the kernel, either.
	notTwice = "^TestOurs$/^mount2-mountinfo$/^(cli|conf)$"
	notUnder = "^TestAppArmorOwnProfile$/^scripts$/^cli$"
)

// notHere are tests that belong to other steps, do not depend on the kernel, or need
// something that an image lacks (a compiler).
const notHere = "^(TestOurs|TestReference.*|TestCompatRows|TestCommandLines|TestVersionInScripts|TestModule.*|TestAppArmor.*|TestSyncInitLimit|TestBuiltWithC|" +
	"TestCheckConf|TestCheckMountpoint|TestCheckPrivilege|TestCommNumbers|TestHeldLock|TestHintsFollowed|TestLimits|" +
	"TestNextStepsFollowed|TestNoThreads|TestWithoutSubtypes)$"

// kernelTable are the tests of reading the kernel's table in each of its forms. utab and
// mtab are the same everywhere.
const kernelTable = "^Test(Of.*|IsRoot|Inside.*|Count.*|Connections|Names|LongName|NotListed)$"

// threadTests check the threads of the helper, and change settings of the whole machine
// for that.
const threadTests = "^Test(Dumpable|Attached)$"

// steps are the tests for one kernel. Those that need fuse unloaded come first.
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
