package fusetest

import (
	"os"
	"testing"
	"time"
)

// noSkipEnv, set to 1, makes each skip a failure, for runs that must test everything.
const noSkipEnv = "FUSERMOUNT_TEST_NOSKIP"

// MaySkip says whether skips are allowed.
func MaySkip() bool { return os.Getenv(noSkipEnv) != "1" }

// Skip skips the test and prints the remedy. With FUSERMOUNT_TEST_NOSKIP=1 in the
// environment it fails the test instead.
func Skip(t testing.TB, remedy string) {
	t.Helper()
	if !MaySkip() {
		t.Fatalf("skips are forbidden by %s: to run this test, %s", noSkipEnv, remedy)
	}
	t.Skipf("to run this test, %s", remedy)
}

// NeedNamespace skips the test where there is no [Stage].
func NeedNamespace(t testing.TB) {
	t.Helper()
	if Have() == None {
		Skip(t, nsRemedy)
	}
}

// NeedRoot skips the test unless it may take any id.
func NeedRoot(t testing.TB) {
	t.Helper()
	if Have() != Root {
		Skip(t, "run it as root: 'sudo make test'")
	}
}

// NeedDevice skips the test where it cannot open the fuse device.
func NeedDevice(t testing.TB) {
	t.Helper()
	NeedNamespace(t)
	if deviceRemedy != "" {
		Skip(t, deviceRemedy)
	}
}

// Patience is how long a test waits for something that must happen, on a machine that may
// be busy or suspended. Only a failure takes that long.
const Patience = time.Minute
