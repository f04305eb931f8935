package mtab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// The tables of user space, and their locks.
const (
	UtabPath = "/run/mount/utab"
	MtabPath = "/etc/mtab"

	utabLockPath = "/run/mount/utab.lock"
	mtabLockPath = "/etc/mtab~"
)

// maxTable bounds what is read of a table, in bytes. Beyond maxUtab nothing is added to
// utab: a user whose mounts end without this program, as by removing the mountpoint in
// another namespace, leaves a line each time.
const (
	maxTable = 64 << 20
	maxUtab  = 1 << 20
)

// Exists says whether a table is a file to keep, and not a link into /proc. Where utab does
// not exist, nobody reads it, and none is created. After an error the answer is no: no
// privilege is kept in doubt.
func Exists(path string) (bool, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if err != nil && !isHidden(err) {
		return false, fmt.Errorf("%s not looked at: %w", path, err)
	}
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFREG, nil
}

// MayExist is Exists, and true in doubt: writing the table then says what failed.
func MayExist(path string) bool {
	yes, err := Exists(path)
	return yes || err != nil
}

// isHidden says that there is nothing to be found for this caller.
func isHidden(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EACCES)
}

// InUtab says whether utab has, or may have, a line that Remove would remove. It takes no
// lock: the line of a mount that exists does not come and go.
func InUtab(r Record) bool {
	text, err := readTable(UtabPath)
	if err != nil {
		return !isHidden(err)
	}
	return utabRemove(text, r) != text
}

// Add records a mount in the tables that exist. It must run with the file access of root.
// A failure leaves the table as it was.
func Add(r Record) error {
	var utab error
	if len(r.Userspace) > 0 {
		utab = edit(UtabPath, lockUtab, func(text string) (string, error) {
			if len(text) > maxUtab {
				return "", errors.New("it is full")
			}
			return utabAdd(text, r), nil
		})
	}
	mtab := edit(MtabPath, lockMtab, func(text string) (string, error) { return mtabAdd(text, r), nil })
	return errors.Join(utab, mtab)
}

// Remove removes a mount from the tables, under the same conditions as Add.
func Remove(r Record) error {
	var utab error
	if InUtab(r) {
		utab = edit(UtabPath, lockUtab, func(text string) (string, error) { return utabRemove(text, r), nil })
	}
	mtab := edit(MtabPath, lockMtab, func(text string) (string, error) { return mtabRemove(text, r), nil })
	return errors.Join(utab, mtab)
}

// edit changes a table, if it exists, under its lock, by writing a new file and renaming it: a reader
// sees the old table or the new one, also if this process is killed.
func edit(path string, lock func() (unlock func() error, err error), change func(string) (string, error)) error {
	if !MayExist(path) {
		return nil
	}
	unlock, err := lock()
	if err != nil {
		return fmt.Errorf("%s not updated: %w", path, err)
	}
	text, err := readTable(path)
	if err == nil {
		var changed string
		if changed, err = change(text); err == nil && changed != text {
			err = replace(path, changed)
		}
	}
	if err != nil {
		err = fmt.Errorf("%s not updated: %w", path, err)
	}
	return errors.Join(err, unlock())
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

// replace puts text in place of the file at path. The temporary name is always the same:
// under the lock, what lies there was left by a writer that was killed.
func replace(path, text string) (err error) {
	temporary := path + ".fusermount"
	if err := unix.Unlink(temporary); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	fd, err := rawfile.Open(temporary, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	if err = rawfile.WriteAll(fd, text); err != nil {
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

// lockWait bounds the wait for a lock: anybody who may open utab.lock may hold it for ever.
const (
	lockWait  = 2 * time.Second
	lockRetry = 10 * time.Millisecond
)

var errLockHeld = errors.New("its lock is held by another process")

// lockUtab takes libmount's lock: flock on a file that stays.
func lockUtab() (unlock func() error, err error) {
	fd, err := lock(utabLockPath, unix.O_RDONLY, 0o644, func(fd int) error {
		return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	})
	return func() error { return unix.Close(fd) }, err
}

// lockMtab takes the old lock of /etc/mtab: a file that exists, write-locked by its
// creator, as long as the lock is held. One without that lock was left by a process that
// was killed, and is taken over.
func lockMtab() (unlock func() error, err error) {
	fd, err := lock(mtabLockPath, unix.O_WRONLY, 0o600, func(fd int) error {
		err := unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
		if err == nil && !stillAt(fd, mtabLockPath) {
			return unix.EAGAIN // its last holder removed it meanwhile
		}
		return err
	})
	return func() error { return errors.Join(unix.Unlink(mtabLockPath), unix.Close(fd)) }, err
}

// lock opens a lock's file and takes the lock, for which it waits.
func lock(path string, flags int, mode uint32, take func(fd int) error) (fd int, err error) {
	for deadline := time.Now().Add(lockWait); ; {
		fd, err := rawfile.Open(path, flags|unix.O_CREAT|unix.O_NOFOLLOW, mode)
		if err != nil {
			return -1, err
		}
		if err = take(fd); err == nil {
			return fd, nil
		}
		held := errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINTR)
		closed := unix.Close(fd)
		if !held || closed != nil {
			return -1, errors.Join(err, closed)
		}
		if time.Now().After(deadline) {
			return -1, errLockHeld
		}
		pause := unix.NsecToTimespec(lockRetry.Nanoseconds())
		if err := unix.Nanosleep(&pause, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return -1, err
		}
	}
}

func stillAt(fd int, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Lstat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Record is what the tables of user space keep of one of our mounts.
type Record struct {
	ID        uint64 // the mount id that mountinfo uses
	Source    string
	Target    string // the mountpoint as the kernel names it
	Type      string
	Options   string   // for /etc/mtab, comma-separated
	Userspace []string // the x-* options, for utab
}

// utabAdd appends r in libmount's format. The mount's id is among the attributes, which
// libmount keeps for others: by it a removal finds the line of its own mount, whatever
// source the caller gave.
//
// It is not an ID= field: libmount from 2.39 on would go by that alone, and ids are
// reused. A line of a mount that ended without this program could then give a caller's
// options to a mount of root's.
func utabAdd(text string, r Record) string {
	return terminated(text) + "SRC=" + Escape(r.Source) +
		" TARGET=" + Escape(r.Target) +
		" ROOT=/ ATTRS=" + utabMark(r) +
		" OPTS=" + Escape(strings.Join(r.Userspace, ",")) + "\n"
}

func utabMark(r Record) string { return "fusermount.id=" + strconv.FormatUint(r.ID, 10) }

// utabRemove removes the line that utabAdd wrote for this mount. Another program's line
// of the same target, for a mount below or above, stays.
func utabRemove(text string, r Record) string {
	return withoutLast(text, func(line string) bool {
		fields := map[string]string{}
		for field := range strings.FieldsFuncSeq(line, separator) {
			name, value, _ := strings.Cut(field, "=")
			fields[name] = Unescape(value)
		}
		return fields["ATTRS"] == utabMark(r) && fields["TARGET"] == r.Target
	})
}

// mtabAdd appends r to the text of /etc/mtab (fstab(5)).
func mtabAdd(text string, r Record) string {
	return terminated(text) + strings.Join([]string{
		Escape(r.Source), Escape(r.Target), Escape(r.Type), Escape(r.Options), "0", "0",
	}, " ") + "\n"
}

// mtabRemove removes the newest line with r's target, type and owner.
func mtabRemove(text string, r Record) string {
	owner, ok := Entry{SuperOptions: r.Options}.Owner()
	return withoutLast(text, func(line string) bool {
		f := strings.FieldsFunc(line, separator)
		if !ok || len(f) < 4 || Unescape(f[1]) != r.Target || Unescape(f[2]) != r.Type {
			return false
		}
		got, has := Entry{SuperOptions: Unescape(f[3])}.Owner()
		return has && got == owner
	})
}

// separator says what separates fields: blanks and tabs. Other white space is part of a name.
func separator(r rune) bool { return r == ' ' || r == '\t' }

// withoutLast removes the last line for which match holds, and keeps every other byte.
func withoutLast(text string, match func(line string) bool) string {
	end := len(text)
	for end > 0 {
		start := strings.LastIndexByte(text[:end-1], '\n') + 1
		if match(strings.TrimSuffix(text[start:end], "\n")) {
			return text[:start] + text[end:]
		}
		end = start
	}
	return text
}

// terminated makes sure that what is appended begins a line of its own.
func terminated(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		return text + "\n"
	}
	return text
}

// escaper writes bytes as a backslash and three octal digits. Kernels since 6.1 write the
// last one, too; libmount reads it.
var escaper = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`)

// Escape writes s as one field of a table.
func Escape(s string) string { return escaper.Replace(s) }

// Unescape reads a field that Escape or the kernel wrote. What is no escape stays.
func Unescape(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		s = after
		digits := s[:min(3, len(s))]
		if n, err := strconv.ParseUint(digits, 8, 8); err == nil && len(digits) == 3 {
			b.WriteByte(byte(n))
			s = s[3:]
		} else {
			b.WriteByte('\\')
		}
	}
}
