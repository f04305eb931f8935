package fusermount_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// jobEnv makes this program do one of jobs in a process of somebody's own: for
// what concerns a whole process, its end, its system calls, its namespaces.
const jobEnv = "CLIENT_TEST_JOB"

var jobs = map[string]func(args []string) error{}

func runJob(name string) int {
	job, ok := jobs[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "no such job:", name)
		return 99
	}
	if err := job(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// jobCall is a call of this program that does a job.
func jobCall(t *testing.T, uid uint32, job string, args ...string) fusetest.Call {
	t.Helper()
	return fusetest.Call{
		Prog: fusetest.InstallHelper(t, "/proc/self/exe", fusetest.Plain), Args: args, Dir: "/",
		Env: []string{jobEnv + "=" + job, "GORACE=atexit_sleep_ms=0", "PATH=/usr/bin:/bin"}, Socket: fusetest.NoSocket,
		UID: uid, GID: uid, KeepRoot: uid == 0,
	}
}

// doJob runs one that has to end well.
func doJob(t *testing.T, call fusetest.Call) string {
	t.Helper()
	r := call.Run(within(t))
	if r.Err != nil || r.Exit != 0 {
		t.Fatalf("exit %d, %v %v: %s%s", r.Exit, r.Signal, r.Err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// ctxOfJob bounds what a job does; nobody cancels it.
func ctxOfJob() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}
