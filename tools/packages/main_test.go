package packages

import (
	"fmt"
	"io/fs"
	"os"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

// modeOf writes a mode as chmod(1) takes it, with the setuid bit.
func modeOf(mode fs.FileMode) string {
	bits := mode.Perm()
	if mode&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	return fmt.Sprintf("%04o", uint32(bits))
}

// compare tells what is there, and what should be.
func compare(t *testing.T, where string, got, want map[string]string) {
	t.Helper()
	for name, is := range got {
		if is != want[name] {
			t.Errorf("%s has %s as %q, want %q", where, name, is, want[name])
		}
	}
	for name, is := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s lacks %s (%s)", where, name, is)
		}
	}
}
