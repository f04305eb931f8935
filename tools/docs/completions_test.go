package docs

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

// names of mountpoints. Each begins in its own way, and most contain special characters.
var names = []string{
	"plain", "two words", "a\ttab", "back\\slash", "new\nline", "co:lon=and@more", "quo'te", "Dou\"ble", "$HOME",
	"*", "~tilde", "#hash", "ümlaut", "(x)", "!bang", "-dash", "x,comma", "&and;", "\xff\xfe", "ends (deleted)",
}

// typed are beginnings of mountpoints, as they are typed with {} for the directory, and
// the names to which they are completed.
var typed = []struct{ keys, want string }{
	{"-u {}/pl", "plain"},
	{"--unmount {}/pl", "plain"},
	{"-uz {}/pl", "plain"},
	{"-qzu {}/pl", "plain"},
	{"-u -q --lazy {}/pl", "plain"},
	{"--auto-unmount --comm-fd 3 {}/pl", "plain"},
	{"-u -- {}/pl", "plain"},
	{"-u pl", "plain"},
	{"-u ./pl", "plain"},
	{"-u ~/pl", "plain"},
	{"-u \"pl", "plain"},
	{"-u {}/fo", "fo"}, // another user's mount
	{"-u {}/tw", "two words"},
	{`-u {}/two\ `, "two words"},
	{"-u '{}/two ", "two words"},
	{`-u "{}/two `, "two words"},
	{"-u ~/tw", "two words"},
	{"-u tw", "two words"},
	{"-u 'tw", "two words"},
	{"-u {}/a", "a\ttab"},
	{"-u {}/b", "back\\slash"},
	{"-u {}/n", "new\nline"},
	{"-u {}/co", "co:lon=and@more"},
	{"-u {}/co:", "co:lon=and@more"},
	{"-u {}/co:lo", "co:lon=and@more"},
	{"-u {}/co:lon=", "co:lon=and@more"},
	{"-u {}/co:lon=an", "co:lon=and@more"},
	{"-u {}/co:lon=and@", "co:lon=and@more"},
	{"-u {}/co:lon=and@m", "co:lon=and@more"},
	{"-u ~/co:l", "co:lon=and@more"},
	{"-u co:l", "co:lon=and@more"},
	{"-u \"{}/co:l", "co:lon=and@more"},
	{"-u {}/q", "quo'te"},
	{"-u '{}/q", "quo'te"},
	{"-u \"{}/q", "quo'te"},
	{"-u {}/D", "Dou\"ble"},
	{"-u '{}/D", "Dou\"ble"},
	{"-u \"{}/D", "Dou\"ble"},
	{`-u {}/\$`, "$HOME"},
	{"-u '{}/$", "$HOME"},
	{`-u {}/\*`, "*"},
	{"-u {}/~", "~tilde"},
	{`-u {}/\#`, "#hash"},
	{"-u {}/ü", "ümlaut"},
	{`-u {}/\(`, "(x)"},
	{`-u {}/\!`, "!bang"},
	{"-u {}/-", "-dash"},
	{"-u {}/x", "x,comma"},
	{`-u {}/\&`, "&and;"},
	{"-u {}/e", "ends (deleted)"},
}

func TestMountpoints(t *testing.T) {
	home, servers := mountAll(t)
	for _, sh := range append(slices.Clone(shells), throughPackage) {
		t.Run(sh.name, func(t *testing.T) {
			x, before := open(t, sh, home), asked(servers)
			for _, c := range typed {
				if sh.name == "fish" && strings.Contains(c.want, "\t") {
					continue // what follows the tab would be a description
				}
				args := x.run(t, "fusermount3 "+strings.ReplaceAll(c.keys, "{}", home)+"\t")
				got := args[len(args)-1]
				if !filepath.IsAbs(got) {
					got = filepath.Join(home, got)
				}
				if got != filepath.Join(home, c.want) {
					t.Errorf("%s: %q", c.keys, args)
				}
			}
			if sh.name != "fish" { // which looks by itself at each path that is typed
				unasked(t, servers, before)
			}
		})
	}
}

// Completion of other words: flags, options, and any file to mount over.
func TestWords(t *testing.T) {
	home := fusetest.Dir(t, user())
	if err := os.WriteFile(filepath.Join(home, "own"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, sh := range append(slices.Clone(shells), throughPackage) {
		t.Run(sh.name, func(t *testing.T) {
			x := open(t, sh, home)
			for _, c := range []struct{ keys, want string }{
				{"--unm", "--unmount"},
				{"--features=t", "--features=text"},
				{"-o dirs", "-o dirsync"},
				{"-o ro,dirs", "-o ro,dirsync"},
				{"-o fsname=x,dirs", "-o fsname=x,dirsync"},
				{"-oro,dirs", "-oro,dirsync"},
				{"--options=ro,dirs", "--options=ro,dirsync"},
				{"--options ro,dirs", "--options ro,dirsync"},
				{"-o ro --comm-fd ow", "-o ro --comm-fd ow"},
				{"-o ro ow", "-o ro own"},
				{"-osuid ow", "-osuid own"},
				{"-u ow", "-u ow"},
				{"-u -- -", "-u -- -"},
			} {
				args := x.run(t, "fusermount3 "+c.keys+"\t")
				if got := strings.Join(args, " "); got != c.want {
					t.Errorf("%s: %s; want %s", c.keys, got, c.want)
				}
			}
		})
	}
}

// fusectl's commands, flags and mountpoints, any user's.
func TestFusectlWords(t *testing.T) {
	home, servers := mountAll(t)
	if err := os.WriteFile(filepath.Join(home, "own"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, sh := range append(slices.Clone(shells), throughPackage) {
		t.Run(sh.name, func(t *testing.T) {
			x, before := open(t, sh, home), asked(servers)
			for _, c := range []struct{ keys, want string }{
				{"li", "list"},
				{"ab", "abort"},
				{"--js", "--json"},
				{"list " + home + "/pl", "list " + home + "/plain"},
				{"check --json " + home + "/tw", "check --json " + home + "/two words"},
				{"abort " + home + "/for", "abort " + home + "/foreign"},
				{"check ow", "check own"},
				{"abort own", "abort own"},
			} {
				if strings.HasSuffix(c.want, "/foreign") && user() == 0 {
					continue // there is no other user
				}
				if got := strings.Join(x.run(t, "fusectl "+c.keys+"\t"), " "); got != c.want {
					t.Errorf("%s: %s; want %s", c.keys, got, c.want)
				}
			}
			if sh.name != "fish" { // which looks by itself at each path that is typed
				unasked(t, servers, before)
			}
		})
	}
}

// The older name is completed as well, also when it is the first word of a new shell.
// bash-completion has its own completion for that name.
func TestOlderName(t *testing.T) {
	home, _ := mountAll(t)
	for _, sh := range shells {
		t.Run(sh.name, func(t *testing.T) {
			x := open(t, sh, home)
			for _, c := range []struct{ keys, want string }{
				{"-u " + home + "/pl", "-u " + filepath.Join(home, "plain")},
				{"--unm", "--unmount"},
				{"-o ro,dirs", "-o ro,dirsync"},
			} {
				if got := strings.Join(x.run(t, "fusermount "+c.keys+"\t"), " "); got != c.want {
					t.Errorf("%s: %s; want %s", c.keys, got, c.want)
				}
			}
		})
	}
}

// Completion asks no daemon: it may hang.
func TestMountpointsUnasked(t *testing.T) {
	home, servers := mountAll(t)
	for _, sh := range shells {
		t.Run(sh.name, func(t *testing.T) {
			before := asked(servers)
			got := offered(t, sh, home, "fusermount3 -u ")
			if !slices.Contains(got, filepath.Join(home, "plain")) || slices.Contains(got, filepath.Join(home, "foreign")) {
				t.Errorf("offered %q", got)
			}
			unasked(t, servers, before)
		})
	}
}

// asked counts the requests to the daemons.
func asked(servers []*fuseserver.Server) (n int) {
	for _, server := range servers {
		n += len(server.Asked())
	}
	return n
}

func unasked(t *testing.T, servers []*fuseserver.Server, before int) {
	t.Helper()
	if after := asked(servers); after != before {
		t.Errorf("the daemons were asked %d times", after-before)
	}
}

// mountAll makes a home directory with mountpoints in it, one of them another user's
// where the tests have several users.
func mountAll(t *testing.T) (home string, servers []*fuseserver.Server) {
	t.Helper()
	fusetest.NeedDevice(t)
	home = fusetest.Dir(t, user())
	for _, name := range names {
		servers = append(servers, mount(t, filepath.Join(home, name), user()))
	}
	if user() != 0 {
		servers = append(servers, mount(t, filepath.Join(home, "foreign"), bob))
	}
	return home, servers
}

func mount(t *testing.T, dir string, uid uint32) *fuseserver.Server {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	options := fuseserver.MountOptions{UID: uid, GID: uid, Source: "a - fuse x", Subtype: "s t"}
	server, err := fuseserver.Mount(dir, fuseserver.Tree{}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// offered returns what a shell offers at the end of a line.
func offered(t *testing.T, sh shell, home, line string) []string {
	t.Helper()
	if sh.name == "fish" {
		return offeredByFish(t, sh, home, line)
	}
	x := open(t, sh, home)
	x.run(t, line+"\t")
	return x.noted(t, "offered")
}

func offeredByFish(t *testing.T, sh shell, home, line string) (all []string) {
	t.Helper()
	program, notes := sh.need(t), sh.prepare(t)
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", filepath.Join(notes, sh.as), line)
	cmd.Dir = home
	cmd.Env = environment(home, notes)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\t")
		all = append(all, word)
	}
	return all
}
