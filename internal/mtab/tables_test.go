package mtab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// What stands in the tables before, and lines of record in mtab_test.go.
const (
	utabBefore = "SRC=x TARGET=/else ROOT=/ OPTS=x-y\n"
	utabLine   = "SRC=a\\040b TARGET=/m\\012x ROOT=/ ATTRS=fusermount.id=65 OPTS=x-a,x-b=c\\040d\n"
	mtabBefore = "x /else tmpfs rw 0 0\n"
	mtabLine   = "a\\040b /m\\012x fuse.s rw,nosuid,nodev,user_id=1000,group_id=1000 0 0\n"
)

// noTables gives the test a /run without tables, and an /etc/mtab that is a
// link as on all systems of today.
func noTables(t *testing.T) {
	t.Helper()
	fusetest.NeedNamespace(t)
	umask := unix.Umask(0o022)
	reset := func() {
		for _, path := range []string{filepath.Dir(UtabPath), MtabPath, mtabLockPath, MtabPath + ".fusermount"} {
			if err := os.RemoveAll(path); err != nil {
				t.Error(err)
			}
		}
		if err := os.Symlink("/proc/self/mounts", MtabPath); err != nil {
			t.Error(err)
		}
	}
	reset()
	t.Cleanup(func() { reset(); unix.Umask(umask) })
}

// twoTables creates both.
func twoTables(t *testing.T) {
	t.Helper()
	noTables(t)
	must(t, os.Mkdir(filepath.Dir(UtabPath), 0o755))
	must(t, os.WriteFile(UtabPath, []byte(utabBefore), 0o600))
	must(t, os.Remove(MtabPath))
	must(t, os.WriteFile(MtabPath, []byte(mtabBefore), 0o600))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantTables checks both texts, and that there are no other files.
func wantTables(t *testing.T, utab, mtab string) {
	t.Helper()
	for path, want := range map[string]string{UtabPath: utab, MtabPath: mtab} {
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s is %q, %v; want %q", path, text, err, want)
		}
		if _, err := os.Lstat(path + ".fusermount"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s.fusermount: %v", path, err)
		}
	}
}

func TestTablesAbsent(t *testing.T) {
	noTables(t)
	if MayExist(UtabPath) || MayExist(MtabPath) || InUtab(record) {
		t.Errorf("utab %v, mtab %v", MayExist(UtabPath), MayExist(MtabPath))
	}
	must(t, Add(record))
	must(t, Remove(record))
	if _, err := os.Lstat(filepath.Dir(UtabPath)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", filepath.Dir(UtabPath), err)
	}
	if _, err := os.Lstat(mtabLockPath); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", mtabLockPath, err)
	}
	if link, err := os.Readlink(MtabPath); link != "/proc/self/mounts" {
		t.Errorf("%s leads to %q, %v", MtabPath, link, err)
	}
}

func TestTablesWritten(t *testing.T) {
	twoTables(t)
	must(t, Add(record))
	wantTables(t, utabBefore+utabLine, mtabBefore+mtabLine)
	for _, path := range []string{UtabPath, MtabPath} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s has mode %v, %v", path, info.Mode(), err)
		}
	}
	if _, err := os.Lstat(mtabLockPath); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock stays: %v", err)
	}
	if !InUtab(record) {
		t.Error("not found again")
	}
	must(t, Remove(record))
	wantTables(t, utabBefore, mtabBefore)
	must(t, Remove(record)) // once more does no harm
	wantTables(t, utabBefore, mtabBefore)
}

// Without x-* options there is nothing for utab.
func TestUtabNotNeeded(t *testing.T) {
	twoTables(t)
	plain := record
	plain.Userspace = nil
	must(t, Add(plain))
	wantTables(t, utabBefore, mtabBefore+mtabLine)
	must(t, Remove(plain))
	wantTables(t, utabBefore, mtabBefore)
}

// A large table does not grow any more, and lines can still be removed.
func TestUtabFull(t *testing.T) {
	twoTables(t)
	large := strings.Repeat(utabBefore, maxUtab/len(utabBefore)+1)
	must(t, os.WriteFile(UtabPath, []byte(large), 0o600))
	if err := Add(record); err == nil || !strings.Contains(err.Error(), UtabPath+" not updated: it is full") {
		t.Errorf("added: %v", err)
	}
	wantTables(t, large, mtabBefore+mtabLine)
	must(t, os.WriteFile(UtabPath, []byte(large+utabLine), 0o600))
	must(t, Remove(record))
	wantTables(t, large, mtabBefore)
}

// What a killed writer left is replaced, and never written through.
func TestStaleTemporary(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, path, other string){
		"file":      func(t *testing.T, path, _ string) { must(t, os.WriteFile(path, []byte("half a li"), 0o600)) },
		"symlink":   func(t *testing.T, path, other string) { must(t, os.Symlink(other, path)) },
		"hard link": func(t *testing.T, path, other string) { must(t, os.Link(other, path)) },
		"fifo":      func(t *testing.T, path, _ string) { must(t, unix.Mkfifo(path, 0o666)) },
	} {
		t.Run(name, func(t *testing.T) {
			twoTables(t)
			for _, path := range []string{UtabPath, MtabPath} {
				other := path + ".other"
				must(t, os.WriteFile(other, []byte("other"), 0o644))
				t.Cleanup(func() { _ = os.Remove(other) })
				leave(t, path+".fusermount", other)
			}
			must(t, Add(record))
			wantTables(t, utabBefore+utabLine, mtabBefore+mtabLine)
			for _, path := range []string{UtabPath, MtabPath} {
				if text, err := os.ReadFile(path + ".other"); err != nil || string(text) != "other" {
					t.Errorf("%s.other is %q, %v", path, text, err)
				}
			}
		})
	}
}

// A failure leaves the table as it was, and no lock behind.
func TestTemporaryInTheWay(t *testing.T) {
	twoTables(t)
	for _, path := range []string{UtabPath, MtabPath} {
		must(t, os.Mkdir(path+".fusermount", 0o755))
	}
	err := Add(record)
	for _, path := range []string{UtabPath, MtabPath} {
		if err == nil || !strings.Contains(err.Error(), path+" not updated: ") {
			t.Errorf("%v; want %s not updated", err, path)
		}
		must(t, os.Remove(path+".fusermount"))
	}
	wantTables(t, utabBefore, mtabBefore)
	must(t, Add(record))
}

// What is not a regular file is not a table: it is not followed, read or replaced.
func TestTableIsNoFile(t *testing.T) {
	for name, make := range map[string]func(path, other string) error{
		"symlink":   func(path, other string) error { return os.Symlink(other, path) },
		"directory": func(path, _ string) error { return os.Mkdir(path, 0o755) },
		"fifo":      func(path, _ string) error { return unix.Mkfifo(path, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			twoTables(t)
			other := filepath.Join(filepath.Dir(UtabPath), "other")
			must(t, os.WriteFile(other, []byte(utabBefore), 0o644))
			for _, path := range []string{UtabPath, MtabPath} {
				must(t, os.Remove(path))
				must(t, make(path, other))
			}
			if MayExist(UtabPath) || MayExist(MtabPath) {
				t.Errorf("utab %v, mtab %v", MayExist(UtabPath), MayExist(MtabPath))
			}
			must(t, Add(record))
			if text, err := os.ReadFile(other); err != nil || string(text) != utabBefore {
				t.Errorf("behind the link: %q, %v", text, err)
			}
			if info, err := os.Lstat(UtabPath); err != nil || info.Mode().IsRegular() {
				t.Errorf("utab was replaced: %v, %v", info.Mode(), err)
			}
		})
	}
}

// A link that replaced a table after it was examined is refused, too.
func TestEditFollowsNothing(t *testing.T) {
	twoTables(t)
	must(t, os.Rename(UtabPath, UtabPath+".real"))
	must(t, os.Symlink(UtabPath+".real", UtabPath))
	must(t, edit(UtabPath, lockUtab, func(string) (string, error) { return "overwritten", nil }))
	if _, err := readTable(UtabPath); err == nil {
		t.Error("read through a link")
	}
	if text, err := os.ReadFile(UtabPath + ".real"); err != nil || string(text) != utabBefore {
		t.Errorf("behind the link: %q, %v", text, err)
	}
}
