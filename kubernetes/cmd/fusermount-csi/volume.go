package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"github.com/go-fusermount/fusermount/internal/service"
)

// A volume is a small tmpfs at the path that the kubelet names, with these entries:
//
//	socket       the volume's socket: who can write to it may mount
//	fusermount3  the client, without a set-uid bit, which cannot be changed
//	fuse         an empty file to stand at /dev/fuse, without which libfuse gives up
//	serve        with mode: volume, the directory at which one container mounts …
//	volume       … and the one where the others see it
const (
	socketName = "socket"
	clientName = "fusermount3"
	deviceName = "fuse"
)

// source is the tmpfs' name in the mount table.
const source = "fusermount-csi"

// tmpfsOptions limit what a pod can fill. Its memory is the pod's that writes.
var tmpfsOptions = [][2]string{{"source", source}, {"size", "256k"}, {"nr_inodes", "64"}, {"mode", "0755"}}

// record is a volume as it is kept on disk, so that it outlives this process.
type record struct {
	ID         string     `json:"id"`
	Target     string     `json:"target"`
	Owner      owner      `json:"owner"`
	Attributes attributes `json:"attributes"`
	// Complete says that the volume was made. Before that it is only to be removed.
	Complete bool `json:"complete"`
	// Boot is that of the machine on which Live was written.
	Boot string   `json:"boot"`
	Live []uint32 `json:"live,omitempty"` // the connections of what its clients have mounted
}

// volume is a volume with its socket.
type volume struct {
	record
	dir     int // the root of the tmpfs, O_PATH
	socket  *service.Socket
	limiter *rate.Limiter // of what is logged
}

// create makes the file system of a volume and mounts it at target. client is the file to mount at
// clientName.
func create(target, mode, client string) (dir int, err error) {
	fd, err := newTmpfs(tmpfsOptions)
	if err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unix.Close(fd))
		}
	}()
	if err := populate(fd, mode); err != nil {
		return -1, err
	}
	if err := os.MkdirAll(target, 0o750); err != nil {
		return -1, err
	}
	if err := unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return -1, &os.PathError{Op: "move_mount", Path: target, Err: err}
	}
	return fd, bind(client, fd, clientName)
}

// newTmpfs makes a tmpfs that is not attached yet.
func newTmpfs(options [][2]string) (int, error) {
	context, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen tmpfs", err)
	}
	defer unix.Close(context) // what was made of it stays
	for _, option := range options {
		if err := unix.FsconfigSetString(context, option[0], option[1]); err != nil {
			return -1, fmt.Errorf("fsconfig %s: %w", option[0], err)
		}
	}
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, os.NewSyscallError("fsconfig create", err)
	}
	fd, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	return fd, os.NewSyscallError("fsmount", err)
}

// populate makes the entries of a new volume, before anybody can see it. The umask is 0.
func populate(dir int, mode string) error {
	files := []string{deviceName, clientName}
	for _, name := range files {
		if err := writeFile(dir, name, nil, 0o666); err != nil {
			return err
		}
	}
	if mode != modeVolume {
		return nil
	}
	for _, name := range []string{service.VolumeServe, service.VolumeMount} {
		if err := unix.Mkdirat(dir, name, 0o777); err != nil {
			return &os.PathError{Op: "mkdir", Path: name, Err: err}
		}
	}
	return nil
}

// writeFile makes a file in dir.
func writeFile(dir int, name string, text []byte, mode uint32) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return &os.PathError{Op: "create", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// bind mounts a file at a name in dir.
func bind(file string, dir int, name string) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, file, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "open_tree", Path: file, Err: err}
	}
	err = os.NewSyscallError("move_mount", unix.MoveMount(fd, "", dir, name, unix.MOVE_MOUNT_F_EMPTY_PATH))
	return errors.Join(err, unix.Close(fd))
}

// reopen opens the file system of a volume that an earlier process has made. The error is
// fs.ErrNotExist if it is not mounted.
func reopen(target string) (dir int, err error) {
	dir, err = unix.Open(target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: target, Err: err}
	}
	var st unix.Statx_t
	err = unix.Statx(dir, "", unix.AT_EMPTY_PATH, unix.STATX_BASIC_STATS, &st)
	var fsys unix.Statfs_t
	if err == nil {
		err = unix.Fstatfs(dir, &fsys)
	}
	if err == nil && (st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 || fsys.Type != unix.TMPFS_MAGIC) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return -1, errors.Join(&os.PathError{Op: "open volume", Path: target, Err: err}, unix.Close(dir))
	}
	return dir, nil
}

// listen makes the socket of a volume, in place of an earlier one. The path of a volume may be longer
// than a socket's address, so it is made through the descriptor. The umask is 0.
func listen(dir int) (int, error) {
	err := unix.Unlinkat(dir, socketName, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return -1, &os.PathError{Op: "unlink", Path: socketName, Err: err}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	address := &unix.SockaddrUnix{Name: filepath.Join("/proc/self/fd", strconv.Itoa(dir), socketName)}
	err = os.NewSyscallError("bind", unix.Bind(fd, address))
	if err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, unix.SOMAXCONN))
	}
	if err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

// remove unmounts what is mounted at target, with all that is mounted inside, and removes target. It
// asks no daemon, and is done if there is nothing.
func remove(target string) error {
	if err := unmount(target); err != nil {
		return err
	}
	return ignoreAbsent(os.Remove(target))
}

// unmount unmounts all that is mounted at path.
func unmount(path string) error {
	const most = 100
	for range most {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // nothing is mounted
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: "unmount", Path: path, Err: err}
		}
	}
	return &os.PathError{Op: "unmount", Path: path, Err: unix.EBUSY}
}

// store is the directory with the records.
type store string

// file is where the record of a volume lies. An id may have any characters.
func (s store) file(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(string(s), hex.EncodeToString(sum[:16])+".json")
}

// put writes a record, wholly or not at all.
func (s store) put(r record) error {
	r.Boot = bootID()
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(string(s), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(string(s), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.file(r.ID))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (s store) delete(id string) error {
	return ignoreAbsent(os.Remove(s.file(id)))
}

// all reads the records. Files that are none are named in the error, and those that a process has
// left half-written are removed.
func (s store) all() (records []record, err error) {
	entries, err := os.ReadDir(string(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var failed []error
	for _, entry := range entries {
		path := filepath.Join(string(s), entry.Name())
		if filepath.Ext(path) != ".json" {
			failed = append(failed, os.Remove(path))
			continue
		}
		var r record
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err == nil && (r.ID == "" || !filepath.IsAbs(r.Target)) {
			err = errors.New("no id or target")
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("record %s: %w", path, err))
			continue
		}
		if r.Boot != bootID() {
			r.Live = nil
		}
		records = append(records, r)
	}
	return records, errors.Join(append(failed, err)...)
}

// bootID tells one start of the machine from another.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "" // then the file systems of an earlier boot are looked for, and not found
	}
	return string(text[:max(len(text)-1, 0)])
}

// mountClient makes a file system with the client alone, which nobody can change, and mounts it at dir
// in place of an earlier one. Volumes bind its file, and keep what they have bound; a file of this
// process's image would go with its container. The file is immutable, and its file system not
// read-only: in a pod with a user namespace, runc refuses to mount a subPath of one that is.
func mountClient(from, dir string) (path string, err error) {
	program, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	if err := unmount(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	fd, err := newTmpfs([][2]string{{"source", source + "-client"}, {"mode", "0755"}})
	if err != nil {
		return "", err
	}
	err = writeFile(fd, clientName, program, 0o755)
	if err == nil {
		err = makeImmutable(fd, clientName)
	}
	if err == nil {
		err = os.NewSyscallError("move_mount", unix.MoveMount(fd, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH))
	}
	return filepath.Join(dir, clientName), errors.Join(err, unix.Close(fd))
}

// makeImmutable lets nobody change a file in dir any more, as chattr +i. Only who has
// CAP_LINUX_IMMUTABLE on the node can undo it.
func makeImmutable(dir int, name string) error {
	const immutable = 0x10 // FS_IMMUTABLE_FL in linux/fs.h
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, immutable), unix.Close(fd))
	}
	if err != nil {
		return &os.PathError{Op: "make immutable", Path: name, Err: err}
	}
	return nil
}
