package connection

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/fuseserver"
	"github.com/go-fusermount/fusermount/internal/mtab"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

const owner, stranger = 4242, 4343

// served mounts a file system of owner's.
func served(t *testing.T, options fuseserver.Options) (s *fuseserver.Server, dir string, number uint32) {
	t.Helper()
	dir = fusetest.Dir(t, owner)
	s, err := fuseserver.Mount(dir, fuseserver.Tree{}, fuseserver.MountOptions{UID: owner, GID: owner, Server: options})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // an aborted one has ended
	line, found := fusetest.FindMount(t, dir)
	if !found {
		t.Fatal("not mounted")
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(line.Device, "%d:%d", &major, &minor); err != nil {
		t.Fatal(line.Device, err)
	}
	return s, dir, mtab.Entry{Major: major, Minor: minor}.Connection()
}

// statusAs asks as a user.
func statusAs(t *testing.T, uid uint32, number uint32) (st Status, err error) {
	t.Helper()
	err = fusetest.AsUser(uid, uid, func() error {
		d, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		st, err = d.Status(number)
		return err
	})
	return st, err
}

func wantStatus(t *testing.T, number uint32, want Status) {
	t.Helper()
	if got, err := statusAs(t, owner, number); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestStatus(t *testing.T) {
	fusetest.Control(t)
	s, dir, number := served(t, fuseserver.Options{})
	<-s.Ready()
	wantStatus(t, number, Status{})
	s.Hang()
	answered := make(chan error, 1)
	go func() {
		answered <- fusetest.AsUser(owner, owner, func() error {
			var st unix.Stat_t
			return unix.Stat(dir+"/absent", &st)
		})
	}()
	s.AwaitAsked(t, 0)
	wantStatus(t, number, Status{Waiting: 1})
	asked := len(s.Asked())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err == nil {
		t.Error("a dead daemon has answered")
	}
	wantStatus(t, number, Status{Ended: true})
	if len(s.Asked()) != asked {
		t.Errorf("the daemon was asked: %v", s.Asked())
	}
	if _, err := statusAs(t, stranger, number); !errors.Is(err, unix.EACCES) {
		t.Errorf("another user's: %v", err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := statusAs(t, 0, number); !errors.Is(err, unix.ENOENT) {
		t.Errorf("of what is unmounted: %v", err)
	}
}

// A daemon that never answered INIT has one request waiting.
func TestStatusBeforeInit(t *testing.T) {
	fusetest.Control(t)
	_, _, number := served(t, fuseserver.Options{HangBeforeInit: true})
	wantStatus(t, number, Status{Waiting: 1})
}

func TestAbort(t *testing.T) {
	fusetest.Control(t)
	s, _, number := served(t, fuseserver.Options{})
	<-s.Ready()
	abort := func(uid uint32) error {
		return fusetest.AsUser(uid, uid, func() error {
			d, err := Open()
			if err != nil {
				return err
			}
			defer d.Close()
			return d.Abort(number)
		})
	}
	if err := abort(stranger); !errors.Is(err, unix.EACCES) {
		t.Errorf("by another user: %v", err)
	}
	wantStatus(t, number, Status{})
	for range 2 { // the second time does no harm
		if err := abort(owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
	wantStatus(t, number, Status{Ended: true})
}

// What ends between the check and the abort takes its number along: whoever gets
// it next is not aborted.
func TestAbortIf(t *testing.T) {
	fusetest.Control(t)
	s, dir, number := served(t, fuseserver.Options{})
	<-s.Ready()
	d, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	reason := errors.New("the reason")
	if err := d.AbortIf(number, func() error { return reason }); !errors.Is(err, reason) {
		t.Error(err)
	}
	wantStatus(t, number, Status{})
	err = d.AbortIf(number, func() error {
		if err := unix.Unmount(dir, 0); err != nil {
			return err
		}
		<-s.Done()
		for range 100 { // somebody else in the system may be faster
			var next uint32
			if _, _, next = served(t, fuseserver.Options{}); next == number {
				return nil
			}
		}
		fusetest.Skip(t, "run it where nobody else mounts")
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if st, err := statusAs(t, owner, number); err != nil || st.Ended {
		t.Errorf("%+v, %v", st, err)
	}
}

// Where fusectl is not mounted, another file system at its path is not believed.
func TestNotMounted(t *testing.T) {
	fusetest.NeedRoot(t)
	if err := unix.Mount("other", Path, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(Path, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if _, err := Open(); !errors.Is(err, ErrNotMounted) {
		t.Error(err)
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct{ major, minor, want uint32 }{{0, 44, 44}, {0, 1<<20 - 1, 1<<20 - 1}, {7, 0, 7340032}, {8, 17, 8388625}} {
		if got := (mtab.Entry{Major: c.major, Minor: c.minor}).Connection(); got != c.want {
			t.Errorf("the connection of %d:%d is %d, want %d", c.major, c.minor, got, c.want)
		}
	}
}
