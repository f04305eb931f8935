package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/diagnose"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/holders"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// Program examines the helper at a path.
func Program(path string) (p diagnose.Program) {
	p.Path = path
	var st unix.Stat_t
	var fs unix.Statfs_t
	err := unix.Stat(path, &st)
	if err == nil {
		err = unix.Statfs(path, &fs)
	}
	if err != nil {
		p.Problem = &diagnose.Problem{Text: path + " cannot be examined: " + mount.Strerror(err)}
		return p
	}
	p.Owner = st.Uid
	p.Setuid = st.Mode&unix.S_ISUID != 0
	if p.NoSuid = fs.Flags&unix.ST_NOSUID != 0; p.NoSuid {
		p.Under = mountpointOf(path)
	}
	caps := make([]byte, 64)
	if n, err := unix.Getxattr(path, "security.capability", caps); err == nil {
		p.Capability = hasSysAdmin(caps[:n])
	}
	return p
}

// mountpointOf is empty where the mount cannot be found out.
func mountpointOf(path string) string {
	found, err := pin(unix.AT_FDCWD, path, 0)
	if err != nil || found.Close() != nil {
		return ""
	}
	return found.Mount.Mountpoint
}

// hasSysAdmin reads the lower half of the permitted set of struct vfs_cap_data
// (linux/capability.h), which is little-endian everywhere.
func hasSysAdmin(attribute []byte) bool {
	const permitted = 4
	return len(attribute) >= permitted+4 && binary.LittleEndian.Uint32(attribute[permitted:])&(1<<unix.CAP_SYS_ADMIN) != 0
}

// Conf reads /etc/fuse.conf as the helper does for a caller.
func Conf(uid uint32) diagnose.Conf {
	c := diagnose.Conf{Settings: fuseconf.Defaults()}
	unusable := func(text, next string) diagnose.Conf {
		c.Problem = &diagnose.Problem{Text: text, Next: next}
		return c
	}
	fd, err := rawfile.Open(fuseconf.Path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		c.Absent = true
		return c
	case errors.Is(err, unix.EACCES):
		return unusable("failed to open "+fuseconf.Path+": "+mount.Strerror(err), "as root: chmod 0644 "+fuseconf.Path)
	case err != nil:
		harmless := []unix.Errno{unix.ELOOP, unix.ENAMETOOLONG, unix.ENOTDIR, unix.EOVERFLOW}
		c.Fatal = !slices.ContainsFunc(harmless, func(e unix.Errno) bool { return errors.Is(err, e) })
		return unusable("failed to open "+fuseconf.Path+": "+mount.Strerror(err), "it has to be a file that root owns, with mode 0644")
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		c.Fatal = true
		return unusable("failed to examine "+fuseconf.Path+": "+mount.Strerror(err), "")
	}
	text, err := rawfile.TextOf(fd, fuseconf.MaxFile+1)
	if err == nil {
		c.Settings, _, err = fuseconf.Parse(text)
	}
	uidMap, _ := smallFile("/proc/self/uid_map") // without /proc, every uid counts as mapped
	if problem := fuseconf.Untrusted(uid, st.Uid, st.Mode, fuseconf.Unmapped(uidMap, st.Uid)); problem != "" {
		c.Allows = err == nil && c.Settings.UserAllowOther
		c.Settings = fuseconf.Defaults()
		return unusable(fuseconf.Path+" ignored: "+problem, "as root: chown root "+fuseconf.Path+" && chmod 0644 "+fuseconf.Path)
	}
	if err != nil {
		c.Fatal = true
		return unusable("reading "+fuseconf.Path+": read failed ("+mount.Strerror(err)+")", "")
	}
	c.Lines = confLines(text)
	return c
}

// confLines gives the lines that are not empty.
func confLines(text string) (lines []diagnose.ConfLine) {
	var s fuseconf.Settings
	for n := 1; text != ""; n++ {
		line, rest, complete := strings.Cut(text, "\n")
		l := diagnose.ConfLine{Number: n}
		l.Text, l.Comment = fuseconf.SplitComment(line[:min(len(line), fuseconf.MaxLine)])
		if !complete {
			l.Warnings = append(l.Warnings, fmt.Sprintf("reading %s: missing newline at end of file, line %d", fuseconf.Path, n))
		}
		if warning := s.Apply(n, line); warning != "" {
			l.Warnings = append(l.Warnings, warning)
		}
		if l.Text != "" || l.Comment != "" || len(l.Warnings) > 0 {
			lines = append(lines, l)
		}
		text = rest
	}
	return lines
}

const passwdPath = "/etc/passwd"

// UserNames reads the names of users from /etc/passwd, and from nowhere else: the
// databases of a network may take their time, and libraries read the environment and
// load code. Without the file owners are numbers.
func UserNames() map[uint32]string {
	text, err := smallFile(passwdPath)
	if err != nil {
		return nil
	}
	return parsePasswd(text)
}

func parsePasswd(text string) map[uint32]string {
	names := map[uint32]string{}
	for line := range strings.SplitSeq(text, "\n") {
		fields := strings.Split(line, ":")
		if len(fields) < 3 || fields[0] == "" {
			continue
		}
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if _, has := names[uint32(uid)]; err == nil && !has { // the first one counts, as for libc
			names[uint32(uid)] = fields[0]
		}
	}
	return names
}

// Processes gives the names of processes.
func Processes(pids []int) (list []diagnose.Holder) {
	for _, pid := range pids {
		list = append(list, diagnose.Holder{PID: pid, Name: firstLine(fmt.Sprintf("/proc/%d/comm", pid))})
	}
	return list
}

// Users gives what keeps a mount busy, as far as the caller may see: processes, mounts
// inside, and loop devices with a file inside.
func Users(e mtab.Entry) (list []diagnose.Holder) {
	// Where one of the two cannot be read, only what it would tell is missing.
	found, _ := holders.Of(e)
	for _, p := range found {
		list = append(list, diagnose.Holder{PID: p.PID, Name: p.Name})
	}
	inside, _ := mtab.Descendants(e)
	for _, m := range inside {
		list = append(list, diagnose.Holder{Name: "the mount " + m.Mountpoint})
	}
	for _, device := range holders.Loops(e) {
		file := firstLine("/sys/block/" + strings.TrimPrefix(device, "/dev/") + "/loop/backing_file")
		list = append(list, diagnose.Holder{Name: "the loop device " + device + " of " + file})
	}
	return list
}
