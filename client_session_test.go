package fusermount_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// The helper leads a group, so that ^C is not for it; as a watcher it gets a session
// of its own all the same.
func TestWatcherSession(t *testing.T) {
	helper := ours(t)
	mountAs(t, user, fusetest.Dir(t, user), &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper, AutoUnmount: true})
	for deadline := time.Now().Add(patience); ; {
		pids := watchers(t, helper)
		if len(pids) == 1 && session(t, pids[0]) == pids[0] {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the watchers %v lead no session", pids)
		}
	}
}

func session(t *testing.T, pid string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if id, found := strings.CutPrefix(line, "NSsid:"); found {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
