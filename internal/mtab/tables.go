package mtab

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// The tables of user space.
const (
	UtabPath = "/run/mount/utab"
	MtabPath = "/etc/mtab"

	utabLockPath = "/run/mount/utab.lock"
	mtabLockPath = "/etc/mtab~"
)

// maxTable bounds what is read of a table in bytes: it is copied whole. Where utab
// has more than maxUtab nothing is added: a user whose mounts end without us, as
// when he removes the mountpoint in another namespace, leaves a line each time.
const (
	maxTable = 64 << 20
	maxUtab  = 1 << 20
)

// SeesUtab says whether libmount's table exists here. Where it does not, nobody
// reads it, and none is made. After an error the answer is no: who keeps a
// privilege because of the table does not do so in doubt.
func SeesUtab() (bool, error) { return isTable(UtabPath) }

// SeesMtab says whether /etc/mtab is a file to keep, and not a link into /proc.
func SeesMtab() (bool, error) { return isTable(MtabPath) }

// HasUtab is SeesUtab with the other answer in doubt: to write the table succeeds
// after all, or says what failed.
func HasUtab() bool { return orInDoubt(SeesUtab()) }

// HasMtab is SeesMtab in the same way.
func HasMtab() bool { return orInDoubt(SeesMtab()) }

func orInDoubt(yes bool, err error) bool { return yes || err != nil }

func isTable(path string) (bool, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	switch {
	case err == nil:
		return st.Mode&unix.S_IFMT == unix.S_IFREG, nil
	case isHidden(err):
		return false, nil
	}
	return false, fmt.Errorf("%s not looked at: %w", path, err)
}

// isHidden says that there is nothing to be found for this caller.
func isHidden(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EACCES)
}

// InUtab says whether utab has a line that Remove would take out, or may have
// one. It reads without the lock: the line of a mount that exists does not come
// and go.
func InUtab(r Record) bool {
	text, err := readTable(UtabPath)
	if err != nil {
		return !isHidden(err)
	}
	_, found := utabRemove(text, r)
	return found
}

// Add records a mount in the tables that exist. It must run with the file
// rights of root. A failure leaves the table as it was.
func Add(r Record) error {
	var errs []error
	if len(r.Userspace) > 0 && HasUtab() {
		var full error
		err := edit(UtabPath, lockUtab, func(text string) (string, bool) {
			if len(text) > maxUtab {
				full = errors.New(UtabPath + " not updated: it is full")
			}
			return utabAdd(text, r), full == nil
		})
		errs = append(errs, err, full)
	}
	if HasMtab() {
		errs = append(errs, edit(MtabPath, lockMtab, func(text string) (string, bool) {
			return mtabAdd(text, r), true
		}))
	}
	return errors.Join(errs...)
}

// Remove takes a mount out of the tables, under the same conditions as Add.
func Remove(r Record) error {
	var errs []error
	if HasUtab() && InUtab(r) {
		errs = append(errs, edit(UtabPath, lockUtab, func(text string) (string, bool) {
			return utabRemove(text, r)
		}))
	}
	if HasMtab() {
		errs = append(errs, edit(MtabPath, lockMtab, func(text string) (string, bool) {
			return mtabRemove(text, r)
		}))
	}
	return errors.Join(errs...)
}

// edit changes a table under its lock, by writing it anew and renaming: a
// reader sees the old table or the new one, whatever happens on the way.
func edit(path string, lock func() (unlock func() error, err error), change func(string) (string, bool)) (err error) {
	unlock, err := lock()
	if err != nil {
		return fmt.Errorf("%s not updated: %w", path, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	text, err := readTable(path)
	if err != nil {
		return fmt.Errorf("%s not updated: %w", path, err)
	}
	changed, ok := change(text)
	if !ok {
		return nil
	}
	if err := replace(path, changed); err != nil {
		return fmt.Errorf("%s not updated: %w", path, err)
	}
	return nil
}

func readTable(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxTable {
		return "", errors.New("not a table")
	}
	return rawfile.Text(path)
}

// replace puts text in the place of the file at path. The temporary name is
// always the same: the lock is held, so what lies there was left by a writer
// who was killed.
func replace(path, text string) (err error) {
	temporary := path + ".fusermount"
	if err := unix.Unlink(temporary); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	fd, err := rawfile.Open(temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	err = rawfile.WriteAll(fd, text)
	if err != nil {
		err = fmt.Errorf("write temporary table: %w", err)
	} else {
		err = rawfile.RetryEINTR(func() error { return unix.Fsync(fd) })
	}
	err = errors.Join(err, unix.Close(fd))
	if err == nil {
		err = unix.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, unix.Unlink(temporary))
	}
	return nil
}
