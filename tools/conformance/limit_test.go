package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const tooMany = "too many FUSE filesystems mounted; mount_max=N can be set in /etc/fuse.conf"

// fuseCount counts the FUSE file systems of the namespace.
func fuseCount(t *testing.T) int {
	t.Helper()
	devices := map[string]bool{}
	for _, line := range fusetest.Mountinfo(t) {
		kind, _, _ := strings.Cut(line.FSType, ".")
		if kind == "fuse" || kind == "fuseblk" {
			devices[line.Device] = true
		}
	}
	return len(devices)
}

// parallel runs calls at the same time.
func parallel(t *testing.T, calls []helpertest.Call) []helpertest.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fusetest.Patience)
	defer cancel()
	var procs []*helpertest.Proc
	for _, call := range calls {
		p, err := call.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		procs = append(procs, p)
	}
	var results []helpertest.Result
	var failed error
	for _, p := range procs {
		r := p.Wait()
		failed = errors.Join(failed, r.Err)
		if r.Dev != nil {
			t.Cleanup(func() { _ = r.Dev.Close() })
		}
		results = append(results, r)
	}
	if failed != nil {
		t.Fatal(failed)
	}
	return results
}

// mount_max is a limit for all users together. Callers that count at the same time may
// exceed it, later ones do not.
func TestMountMaxParallel(t *testing.T) {
	const limit, atOnce, firstUID = 5, 10, 5000
	waves := 3
	if testing.Short() {
		waves = 2
	}
	call, _ := asUser(t)
	base := fuseCount(t)
	writeFile(t, "/etc/fuse.conf", fmt.Sprintf("mount_max = %d\n", base+limit))
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			for wave := range waves {
				var calls []helpertest.Call
				for i := range atOnce {
					uid := uint32(firstUID + wave*atOnce + i)
					call.UID, call.GID, call.Deny = uid, uid, deny
					call.Args = []string{fusetest.Dir(t, uid)}
					calls = append(calls, call)
				}
				wantWithinLimit(t, parallel(t, calls), wave > 0)
				if n := fuseCount(t) - base; n < limit || n >= limit+atOnce {
					t.Errorf("wave %d: %d file systems with a limit of %d", wave, n, limit)
				}
			}
		})
		if n := fuseCount(t); n != base {
			t.Fatalf("%d file systems are left of %d", n, base)
		}
	}
}

// wantWithinLimit wants each call to have mounted, or to have been refused by the limit.
func wantWithinLimit(t *testing.T, results []helpertest.Result, above bool) {
	t.Helper()
	for _, r := range results {
		switch {
		case r.Exit == 0 && !above && r.NFDs == 1:
		case r.Exit == 1 && r.NFDs == 0 && strings.Contains(r.Stderr, ": "+tooMany+"\n"):
		default:
			t.Errorf("exit %d, %d descriptors, above the limit %v: %q", r.Exit, r.NFDs, above, r.Stderr)
		}
	}
}

// An unmount makes room for one mount; the limit is not for root.
func TestMountMaxAtRest(t *testing.T) {
	call, first := asUser(t)
	base := fuseCount(t)
	writeFile(t, "/etc/fuse.conf", fmt.Sprintf("mount_max = %d\n", base+1))
	t.Cleanup(func() { _ = os.Remove("/etc/fuse.conf") })
	for read, deny := range waysToRead {
		t.Run(read, func(t *testing.T) {
			call, other := call, call
			call.Deny, other.Deny = deny, deny
			other.UID, other.GID = bob, bob
			other.Args = []string{fusetest.Dir(t, bob)}
			wantMounted(t, run(t, call), first)
			wantRefusal(t, run(t, other), other.Args[0], tooMany)
			root := call
			root.KeepRoot, root.Args = true, []string{fusetest.Dir(t, 0)}
			wantMounted(t, run(t, root), root.Args[0])
			unmount(t, root, root.Args[0])
			wantRefusal(t, run(t, other), other.Args[0], tooMany)
			unmount(t, call, first)
			wantMounted(t, run(t, other), other.Args[0])
			wantRefusal(t, run(t, call), first, tooMany)
			unmount(t, other, other.Args[0])
		})
	}
}
