package fusetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest/testsys"
)

// stageDir lies on a tmpfs of its own, inside the namespace's own /run.
const stageDir = "/run/fusetest"

// deviceRemedy says why there is no fuse device, empty if there is one.
var deviceRemedy string

// Stage returns the directory in which tests may create what they like: a
// tmpfs of mode 0755, owned by root, on which setuid bits and (for root)
// device nodes count. Empty when there is none (Have is None).
//
// Around it the namespace has its own /run, empty but for the stage, its own
// /etc with a copy of what programs need and no fuse.conf, and a /dev/fuse
// that everybody may open. Nothing of this exists outside.
func Stage() string {
	if Have() == None {
		return ""
	}
	return stageDir
}

// setupStage makes the stage in a namespace that is all ours.
func setupStage() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return &os.PathError{Op: "mount --make-rprivate", Path: "/", Err: err}
	}
	etc, err := readEtc()
	if err != nil {
		return err
	}
	if err := mountTmpfs("/run"); err != nil {
		return err
	}
	if err := os.Mkdir(stageDir, 0o755); err != nil {
		return err
	}
	for _, dir := range []string{stageDir, "/etc"} {
		if err := mountTmpfs(dir); err != nil {
			return err
		}
	}
	if err := writeEtc(etc); err != nil {
		return err
	}
	for _, name := range []string{"bin", "dir"} {
		if err := mkdirMode(filepath.Join(stageDir, name), 0o755); err != nil {
			return err
		}
	}
	deviceRemedy = setupDevice()
	return nil
}

func mountTmpfs(dir string) error {
	if err := unix.Mount("fusetest", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return &os.PathError{Op: "mount tmpfs", Path: dir, Err: err}
	}
	return nil
}

// mkdirMode makes a directory with a mode that the umask does not change.
func mkdirMode(dir string, mode os.FileMode) error {
	if err := os.Mkdir(dir, mode); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// setupDevice puts a node that everybody may open over /dev/fuse, and falls
// back on the one that is there. It returns what to do if neither works.
func setupDevice() (remedy string) {
	if _, err := os.Stat(DevicePath); err != nil {
		return "load the fuse module (modprobe fuse), or give the container its device: " + err.Error()
	}
	nodeErr := replaceDevice(filepath.Join(stageDir, "fuse"))
	dev, err := OpenDevice()
	if err != nil {
		return fmt.Sprintf("run as root, or chmod 0666 %s: %v", DevicePath, errors.Join(err, nodeErr))
	}
	testsys.MustClose(dev)
	return ""
}

func replaceDevice(node string) error {
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(10, 229))); err != nil {
		return &os.PathError{Op: "mknod", Path: node, Err: err}
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(node, DevicePath, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "bind", Path: DevicePath, Err: err}
	}
	return nil
}
