package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const (
	alice = helpertest.Alice
	bob   = helpertest.Bob
)

// user runs the shells: an ordinary user where the tests may take ids.
func user() uint32 {
	if fusetest.Have() == fusetest.Root {
		return alice
	}
	return 0
}

func credential() *syscall.Credential {
	if user() == 0 {
		return nil
	}
	return &syscall.Credential{Uid: alice, Gid: alice}
}

// shell is a way to complete: a shell, and how it comes by the completion.
type shell struct {
	name    string
	program string
	file    string // the completion, in packaging/completions
	as      string // where the shell looks for it, in its directory of notes
	link    string // what leads there by the older name, beside it
	rc      string // what the shell reads at its start
	text    string
	args    func(notes string) []string
}

const (
	// bashRC stands a function in the place of the program, by either name.
	bashRC = `PS1='READY> '
fusermount3() { printf '%s\0' "$@" >"$NOTES/args"; echo DONE; }
fusermount() { fusermount3 "$@"; }
fusectl() { fusermount3 "$@"; }
`
	// bashSpy notes what is offered.
	bashSpy = `. "$NOTES/fusermount3"; . "$NOTES/fusectl"
spy() { _fusermount3 "$@"; printf '%s\0' "${COMPREPLY[@]}" >"$NOTES/offered"; }
complete -F spy fusermount3
`
	bashCompletion = "/usr/share/bash-completion/bash_completion"
	zshRC          = `PS1='READY> '
fpath=("$NOTES" $fpath)
autoload -Uz compinit
compinit -u -D
fusermount3() { printf '%s\0' "$@" >"$NOTES/args"; echo DONE; }
fusermount() { fusermount3 "$@"; }
fusectl() { fusermount3 "$@"; }
compadd() {
	local -a hits
	[[ " $* " == *\ -[[:alpha:]]#[OAD]\ * ]] || {
		builtin compadd -O hits "$@"
		(( $#hits == 0 )) || print -rN -- "${hits[@]}" >>"$NOTES/offered"
	}
	builtin compadd "$@"
}
setopt extendedglob
`
	fishRC = `function fish_prompt; printf 'READY> '; end
function fish_greeting; end
function fusermount3; printf '%s\0' $argv >$NOTES/args; echo DONE; end
function fusermount; fusermount3 $argv; end
function fusectl; fusermount3 $argv; end
set fish_complete_path $NOTES
`
)

// shells start with nothing but their own functions for completion.
var shells = []shell{
	{"bash", "bash", "fusermount3.bash", "fusermount3", "", "rc", bashRC + bashSpy, bashArgs},
	{"zsh", "zsh", "_fusermount3", "_fusermount3", "", ".zshrc", zshRC, func(string) []string { return []string{"-d", "-i"} }},
	{
		"fish", "fish", "fusermount3.fish", "fusermount3.fish", "fusermount.fish", "rc", fishRC,
		func(notes string) []string {
			return []string{"--no-config", "-i", "-C", "source " + filepath.Join(notes, "rc")}
		},
	},
}

// throughPackage is bash as distributions set it up: their package loads the
// completion when it is first needed.
var throughPackage = shell{
	"bash-completion", "bash", "fusermount3.bash", "completions/fusermount3", "", "rc",
	"BASH_COMPLETION_USER_DIR=$NOTES\n. " + bashCompletion + "\n" + bashRC, bashArgs,
}

func bashArgs(notes string) []string {
	return []string{"--noprofile", "--rcfile", filepath.Join(notes, "rc"), "-i"}
}

// need finds the shell, or skips the test.
func (sh shell) need(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath(sh.program)
	if err == nil && strings.Contains(sh.text, bashCompletion) {
		_, err = os.Stat(bashCompletion)
	}
	if err != nil {
		fusetest.Skip(t, "install "+sh.name+": 'make test-manuals' does, as root on Debian")
	}
	return program
}

// prepare puts the completion and the shell's own file into a new directory.
func (sh shell) prepare(t *testing.T) (notes string) {
	t.Helper()
	notes = fusetest.Dir(t, user())
	files := map[string]string{sh.rc: sh.text}
	for _, program := range []string{"fusermount3", "fusectl"} {
		file := strings.Replace(sh.file, "fusermount3", program, 1)
		files[strings.Replace(sh.as, "fusermount3", program, 1)] = helpertest.ReadFile(t, filepath.Join("../../packaging/completions", file))
	}
	for name, text := range files {
		path := filepath.Join(notes, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if sh.link != "" {
		if err := os.Symlink(filepath.Base(sh.as), filepath.Join(notes, sh.link)); err != nil {
			t.Fatal(err)
		}
	}
	return notes
}
