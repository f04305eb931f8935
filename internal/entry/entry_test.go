package entry

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

const (
	user  = 4242
	group = 4343
	extra = 4444 // a supplementary group
)

// emulators are the programs of qemu-user by architecture. What this machine runs
// itself has none.
var emulators = map[string]string{
	"amd64": "qemu-x86_64-static", "386": "qemu-i386-static", "arm": "qemu-arm-static", "arm64": "qemu-aarch64-static",
	"riscv64": "qemu-riscv64-static", "ppc64le": "qemu-ppc64le-static", "s390x": "qemu-s390x-static",
	"loong64": "qemu-loongarch64-static", "mips64le": "qemu-mips64el-static",
}

// arches are the architectures to test: this one, or all with
// FUSERMOUNT_TEST_ARCHES=all.
func arches() []string {
	if os.Getenv("FUSERMOUNT_TEST_ARCHES") != "all" {
		return []string{runtime.GOARCH}
	}
	var all []string
	for arch := range emulators {
		all = append(all, arch)
	}
	slices.Sort(all)
	return all
}

func native(arch string) bool {
	return arch == runtime.GOARCH || runtime.GOARCH == "amd64" && arch == "386"
}

// build builds the probe, with or without the entry point.
func build(t *testing.T, arch string, flags ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", append(append([]string{"build", "-o", program}, flags...), "./testdata/probe")...)
	cmd.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

var withEntry = []string{"-ldflags", "-E fusermount_entry"}

// report is what the probe printed.
type report struct {
	facts   string
	threads []string
}

// run runs the probe. Where an emulator runs it, that is what is set-id.
func run(t *testing.T, program, arch string, mode fusetest.InstallMode, uid uint32) report {
	t.Helper()
	var args []string
	if native(arch) {
		program = fusetest.InstallHelper(t, program, mode)
	} else {
		emulator, err := exec.LookPath(emulators[arch])
		if err != nil {
			fusetest.Skip(t, "apt-get install qemu-user-static")
		}
		args = []string{fusetest.InstallHelper(t, program, fusetest.Plain)}
		program = fusetest.InstallHelper(t, emulator, mode)
	}
	cmd := exec.Command(program, append(args, "one", "two")...)
	cmd.Env = []string{"GODEBUG=inittrace=1", "GOX=hidden", "OTHER=seen", "GO=too"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: group, Groups: []uint32{extra}}}
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	// What GODEBUG=inittrace=1 prints.
	godebug := strings.Contains(stderr.String(), "init internal/")
	return report{fmt.Sprintf("%s godebug=%v", lines[0], godebug), lines[1:]}
}

// wantThreads wants all threads to be like this. An emulator has one of its own,
// older than the program.
func (r report) wantThreads(t *testing.T, arch, want string) {
	t.Helper()
	var others []string
	for _, thread := range r.threads {
		if thread != want {
			others = append(others, thread)
		}
	}
	allowed := 0
	if !native(arch) {
		allowed = 1
	}
	if len(others) > allowed || len(r.threads) == len(others) {
		t.Errorf("of %d threads %d are different:\n%s\nwant\n%s", len(r.threads), len(others), strings.Join(others, "\n"), want)
	}
}

func (r report) wantFacts(t *testing.T, want ...string) {
	t.Helper()
	facts := strings.Split(r.facts, " ")
	for _, fact := range want {
		if !slices.Contains(facts, fact) {
			t.Errorf("no %s in %s", fact, r.facts)
		}
	}
}

func thread(uid, permitted int) string {
	const form = "Uid=%[1]d,%[1]d,%[1]d,%[1]d Gid=%[2]d,%[2]d,%[2]d,%[2]d Groups=%[3]d " +
		"CapInh=%016[5]x CapPrm=%016[4]x CapEff=%016[5]x CapAmb=%016[5]x NoNewPrivs=1"
	return fmt.Sprintf(form, uid, group, extra, permitted, 0)
}

// What every architecture's entry point must do, in each kind of set-id process.
func TestEntry(t *testing.T) {
	fusetest.NeedRoot(t)
	for _, arch := range arches() {
		t.Run(arch, func(t *testing.T) {
			program := build(t, arch, withEntry...)
			t.Run("setuid", func(t *testing.T) {
				r := run(t, program, arch, fusetest.Setuid, user)
				r.wantThreads(t, arch, thread(user, Lendable))
				r.wantFacts(t, "ran=true", "setid=true", "euid=0", "nnp=false", "dumpable=0", "processors=1", `args="one+two"`, `GOX=""`, `_OX="hidden"`, `OTHER="seen"`, "err=<nil>", "godebug=false")
			})
			t.Run("file capability", func(t *testing.T) {
				r := run(t, program, arch, fusetest.Setcap, user)
				r.wantThreads(t, arch, thread(user, 1<<unix.CAP_SYS_ADMIN))
				r.wantFacts(t, "ran=true", "setid=true", fmt.Sprint("euid=", user), "permitted=200000", "dumpable=0", "processors=1", `args="one+two"`, `GOX=""`, "err=<nil>", "godebug=false")
			})
			t.Run("no rights", func(t *testing.T) {
				r := run(t, program, arch, fusetest.Plain, user)
				r.wantThreads(t, arch, strings.Replace(thread(user, 0), "NoNewPrivs=1", "NoNewPrivs=0", 1))
				r.wantFacts(t, "ran=true", "setid=false", "dumpable=1", `args="one+two"`, `GOX="hidden"`, `OTHER="seen"`, "err=<nil>", "godebug=true")
			})
			t.Run("root", func(t *testing.T) {
				r := run(t, program, arch, fusetest.Setuid, 0)
				r.wantFacts(t, "ran=true", "setid=false", `GOX="hidden"`, "err=<nil>")
			})
		})
	}
}

// Without the entry point threads of the runtime have the rights of root: what
// package priv refuses.
func TestWithoutEntry(t *testing.T) {
	fusetest.NeedRoot(t)
	r := run(t, build(t, runtime.GOARCH), runtime.GOARCH, fusetest.Setuid, user)
	r.wantFacts(t, "ran=false", "setid=false", `GOX="hidden"`)
	if !strings.HasPrefix(r.threads[0], fmt.Sprintf("Uid=%d,0,0,0 ", user)) {
		t.Errorf("a thread is %s", r.threads[0])
	}
}
