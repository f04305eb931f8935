package packages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// holder is the program of that name, which the tests install as the helper.
var holder string

func TestMain(m *testing.M) {
	os.Exit(fusetest.Run(func() int {
		if fusetest.Have() == fusetest.None {
			return m.Run() // tests that need it skip
		}
		dir, remove, err := fusetest.MakeDir(0)
		if err == nil {
			holder = filepath.Join(dir, "holder")
			err = errors.Join(build(holder), others(dir))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "no holder:", err)
			return 1
		}
		code := m.Run()
		if err := remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}))
}

func build(program string) error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./holder")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd, err, out)
	}
	return nil
}

// modeOf returns a mode in chmod(1)'s form, with the setuid bit.
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

// compare reports the differences between got and want.
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

// others makes what lies beside the helper.
func others(dir string) error {
	return errors.Join(os.WriteFile(filepath.Join(dir, "fusectl"), nil, 0o755), os.WriteFile(filepath.Join(dir, "fusermountd"), nil, 0o755))
}
