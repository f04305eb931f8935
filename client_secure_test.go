package fusermount_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func init() { jobs["named"] = mountByName }

// mountByName mounts with a helper that it names: DIRECTORY HELPER. It says
// where that was looked for.
func mountByName(args []string) error {
	_, err := fusermount.Mount(ctxOfJob(), args[0], &fusermount.Options{Method: fusermount.MethodHelper, Helper: args[1]})
	var notFound *fusermount.HelperNotFoundError
	if errors.As(err, &notFound) {
		fmt.Println(strings.Join(notFound.Searched, " "))
		return nil
	}
	var e *fusermount.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w is no *Error", err)
	}
	fmt.Println("ran", e.Helper)
	return nil
}

// A program with more rights than its caller, by its ids or by a capability of
// its file, does not run what lies in its caller's PATH.
func TestNamedHelperOfPrivileged(t *testing.T) {
	fusetest.NeedRoot(t)
	const name = "callers-own-helper"
	path := fusetest.Dir(t, user)
	if err := os.WriteFile(path+"/"+name, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	fixed := "/run/wrappers/bin/" + name + " /usr/local/bin/" + name + " /usr/bin/" + name + " /bin/" + name
	for mode, want := range map[fusetest.InstallMode]string{
		fusetest.Plain: "ran " + path + "/" + name, fusetest.Setuid: fixed, fusetest.Setcap: fixed,
	} {
		call := jobCall(t, user, "named", fusetest.Dir(t, user), name)
		call.Prog = fusetest.InstallHelper(t, "/proc/self/exe", mode)
		call.Env = []string{jobEnv + "=named", "PATH=" + path}
		if got := strings.TrimSpace(doJob(t, call)); got != want {
			t.Errorf("%s: %s; want %s", mode, got, want)
		}
	}
}
