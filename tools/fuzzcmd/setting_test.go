package fuzzcmd

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// setting is what the administrator has set up.
type setting struct {
	allowOther bool // users may ask for allow_other
	full       bool // no user may mount any more
	conf       string
}

// conf is a fuse.conf.
type conf struct {
	text       string
	mode       fs.FileMode
	uid        int
	allowOther bool
	full       bool
}

var confs = []conf{
	{},
	{text: "user_allow_other\n", mode: 0o644, allowOther: true},
	{text: "mount_max = 5000\nuser_allow_other", mode: 0o644, allowOther: true},
	{text: "mount_max = -1\n", mode: 0o644},
	{text: "mount_max = 0\nuser_allow_other\n", mode: 0o644, allowOther: true, full: true},
	{text: "user_allow_other\n", mode: 0o666},             // writable for all: not believed
	{text: "user_allow_other\n", mode: 0o644, uid: alice}, // hers: not believed
	{text: "user_allow_other\n", mode: 0o600},             // closed to her
	{text: "user_allow_other x\n\x1b[2Jjunk\nmount_max = 08\n# user_allow_other\nuser_allow_othe", mode: 0o644},
}

// newSetting writes /etc/fuse.conf and the tables.
func newSetting(w *world, e *entropy) setting {
	w.Helper()
	c := one(e, confs...)
	if c.text != "" {
		w.check(os.WriteFile("/etc/fuse.conf", []byte(c.text), 0o644), os.Chmod("/etc/fuse.conf", c.mode), os.Chown("/etc/fuse.conf", c.uid, 0))
	}
	if e.odd(2) {
		w.check(os.Mkdir("/run/mount", 0o755), os.WriteFile("/run/mount/utab", []byte(one(e, utabs...)), 0o644))
	}
	if e.odd(4) {
		w.check(os.Remove("/etc/mtab"), os.WriteFile("/etc/mtab", []byte(one(e, mtabs...)), 0o644))
	}
	return setting{allowOther: c.allowOther, full: c.full, conf: c.text}
}

// utabs and mtabs are what may stand in a table before.
var (
	utabs = []string{
		"",
		"SRC=x TARGET=/else ROOT=/ OPTS=x-y\n",
		"ID=1 SRC=x TARGET=/else ROOT=/ OPTS=x-y\nno newline",
		"\n\n\x00\xff\n",
	}
	mtabs = []string{
		"/dev/sda1 / ext4 rw 0 0\n",
		"",
		"/dev/sda1 / ext4 rw 0 0\nx /m fuse rw,user_id=4343 0 0\nno newline",
		"\n#\n\x00\xff x\n",
	}
)

// clearSetting takes away what newSetting made.
func clearSetting() error {
	err := errors.Join(os.RemoveAll("/run/mount"), os.RemoveAll("/etc/fuse.conf"), removeRests())
	var st unix.Stat_t
	if unix.Lstat("/etc/mtab", &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG {
		err = errors.Join(err, os.Remove("/etc/mtab"), os.Symlink("/proc/mounts", "/etc/mtab"))
	}
	return err
}

// removeRests takes away what a call leaves that could not remove or write.
func removeRests() error {
	var errs []error
	for _, name := range []string{"/etc/mtab~", "/etc/mtab.fusermount", "/run/mount/utab.fusermount"} {
		errs = append(errs, os.RemoveAll(name))
	}
	return errors.Join(errs...)
}
