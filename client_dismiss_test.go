package fusermount_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// A helper has done its work when its device has come and is mounted. However it goes
// on, the mount is there and stays; Unmount returns when the helper is gone.
func TestDeviceCounts(t *testing.T) {
	const before, after = "warning: before", "warning: after"
	for fake, want := range map[string]string{
		"send-die": "", "send-fail": "", "send-hang": "", "send-child": "", "send-flood": "", "twice": "",
		"send-speak": before,
		"sync-fail":  "", "sync-hang": "",
	} {
		t.Run(fake, func(t *testing.T) {
			helper, dir := fakeHelper(t, fake), fusetest.Dir(t, 0)
			unmounter := ours(t)
			check := wantNoLeak(t)
			log, logged := logger()
			o := &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper, Logger: log}
			if strings.HasPrefix(fake, "sync-") {
				o.SyncInit = func(device *os.File) error {
					_, err := handOn(device, fusetest.Options{})
					return err
				}
			}
			ctx, cancel := context.WithCancel(within(t))
			m, err := fusermount.Mount(ctx, dir, o)
			if err != nil {
				t.Fatal(err)
			}
			cancel() // which means nothing any more
			got := strings.Join(m.Info().Warnings, "\n")
			if want != "" { // the helper may have been quick enough to write more
				got = strings.TrimSuffix(got, "\n"+after)
			}
			if fake != "send-flood" && got != want {
				t.Errorf("warnings %q, want %q", got, want)
			}
			warnings := strings.Count(logged.String(), warned)
			if n := len(m.Info().Warnings); warnings != n {
				t.Errorf("logged %d warnings of %d: %s", warnings, n, logged)
			}
			mounted(t, dir)
			if err := m.Unmount(within(t), &fusermount.UnmountOptions{Helper: unmounter}); err != nil {
				t.Error(err)
			}
			if running(t, helper) {
				t.Error("the helper still runs")
			}
			if more := strings.Count(logged.String(), warned) - warnings; more > 0 {
				t.Errorf("%d warnings came after Mount", more)
			}
			wantNothing(t, dir)
			if err := m.Close(); err != nil {
				t.Error(err)
			}
			check()
		})
	}
}

// Close alone sees a helper gone, too.
func TestCloseAfterHelperHangs(t *testing.T) {
	helper, dir := fakeHelper(t, "send-hang"), fusetest.Dir(t, 0)
	check := wantNoLeak(t)
	m, err := fusermount.Mount(within(t), dir, &fusermount.Options{Helper: helper, Method: fusermount.MethodHelper})
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, m.Close()) // by a helper that unmounts nothing
	if running(t, helper) {
		t.Error("the helper still runs")
	}
	if err := fusermount.Unmount(within(t), dir, nil); err != nil {
		t.Error(err)
	}
	check()
}

// running says whether one of our children was started as a helper.
func running(t *testing.T, helper string) bool {
	t.Helper()
	for _, pid := range living(t) {
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if name, _, _ := strings.Cut(string(line), "\x00"); err == nil && name == helper {
			return true
		}
	}
	return false
}

// While a mount lives, its helper is no zombie.
func TestHelperReaped(t *testing.T) {
	withHelpers(t, func(t *testing.T, helper string) {
		fusetest.NeedRoot(t)
		dir := fusetest.Dir(t, user)
		check := wantNoLeak(t)
		before := len(children(t))
		m := mountAs(t, user, dir, &fusermount.Options{Helper: helper})
		eventually(t, "the helper is reaped", func() bool { return len(children(t)) <= before })
		mounted(t, dir)
		if err := as(user, m.Close); err != nil {
			t.Error(err)
		}
		check()
	})
}
