package fusermount_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// Many mounts at once, each served, watched and unmounted, leave nothing: no
// descriptor, goroutine, process or mount.
func TestConcurrent(t *testing.T) {
	const many = 200
	ways(t, func(t *testing.T, w way) {
		dirs := make([]string, many)
		for i := range dirs {
			dirs[i] = fusetest.Dir(t, w.uid)
		}
		check := wantNoLeak(t)
		ids := make([]uint64, many)
		var all sync.WaitGroup
		for i, dir := range dirs {
			all.Go(func() {
				err := as(w.uid, func() (err error) {
					ids[i], err = roundTrip(t, w, dir, i)
					return err
				})
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		all.Wait()
		seen := map[uint64]bool{}
		for _, id := range ids {
			if id == 0 || seen[id] {
				t.Errorf("the id %d is not one of its own", id)
			}
			seen[id] = true
		}
		check()
	})
}

// roundTrip mounts, looks and unmounts.
func roundTrip(t *testing.T, w way, dir string, i int) (id uint64, err error) {
	name := fmt.Sprint("number ", i)
	m, err := fusermount.Mount(t.Context(), dir, w.with(func(o *fusermount.Options) {
		o.FSName, o.AutoUnmount = name, i%4 == 0 && !w.direct
	}))
	if err != nil {
		return 0, err
	}
	done := m.Done()
	line, found, err := fusetest.TopMount(dir)
	if err == nil && (!found || line.Source != name || m.Mountpoint() != dir) {
		err = fmt.Errorf("mounted %v: %+v", found, line)
	}
	policy := fusermount.UnmountFail
	if strings.Contains(t.Name(), "/C/") {
		policy = fusermount.UnmountRetry // many at once get in each other's way
	}
	if err = errors.Join(err, m.Unmount(t.Context(), &fusermount.UnmountOptions{Policy: policy})); err == nil {
		<-done
	}
	return m.ID(), errors.Join(err, m.Close())
}

// Children that other parts of the program start meanwhile get neither the
// socket nor the device, nor anything else of ours.
func TestHygiene(t *testing.T) {
	ways(t, func(t *testing.T, w way) {
		stop := make(chan struct{})
		inherited := make(chan string, 1)
		var children, mounts sync.WaitGroup
		for range 4 {
			children.Go(func() { startChildren(t, stop, inherited) })
		}
		for i := range 8 {
			dir := fusetest.Dir(t, w.uid)
			mounts.Go(func() {
				for range 5 {
					err := as(w.uid, func() error {
						_, err := roundTrip(t, w, dir, i)
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		mounts.Wait()
		close(stop)
		children.Wait()
		select {
		case links := <-inherited:
			t.Errorf("a child has %s", links)
		default:
		}
	})
}

// startChildren starts one child after the other, and tells what one of them has.
func startChildren(t *testing.T, stop <-chan struct{}, inherited chan<- string) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if links := childsDescriptors(t); links != "" {
			select {
			case inherited <- links:
			default:
			}
		}
	}
}

// childsDescriptors gives what a child has open besides what this process was
// started with.
func childsDescriptors(t *testing.T) (surplus string) {
	out, err := exec.Command("sh", "-c", "for f in /proc/self/fd/*; do echo ${f##*/} $(readlink $f); done").Output()
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(out)) {
		_, link, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(link, "socket:") || strings.Contains(link, "fuse") || strings.HasPrefix(link, "anon_inode:") {
			surplus += " " + link
		}
	}
	return surplus
}

// A helper is in a process group of its own, and out of ^C's way.
func TestHelperGroup(t *testing.T) {
	helper := ours(t)
	dir := fusetest.Dir(t, 0)
	m := mountAs(t, 0, dir, &fusermount.Options{Helper: helper, AutoUnmount: true})
	pid := watchers(t, helper)
	if len(pid) != 1 {
		t.Fatalf("watchers %v", pid)
	}
	stat, err := os.ReadFile("/proc/" + pid[0] + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	if f := strings.Fields(string(stat[strings.LastIndex(string(stat), ")")+1:])); f[2] != pid[0] {
		t.Errorf("process group %s of process %s", f[2], pid[0])
	}
	if err := m.Unmount(within(t), nil); err != nil {
		t.Error(err)
	}
}
