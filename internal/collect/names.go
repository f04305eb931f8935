package collect

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/rawfile"
)

const passwdPath = "/etc/passwd"

// userNames reads the names of users from /etc/passwd, and from nowhere else: the
// databases of a network may take their time, and libraries read the environment
// and load code. Without the file owners are numbers.
func userNames() map[uint32]string {
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

// maxSmall bounds in bytes what is read of a file.
const maxSmall = 1 << 20

// smallFile gives the beginning of a file. It does not wait for a fifo's writer.
func smallFile(path string) (string, error) {
	fd, err := rawfile.Open(path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return rawfile.TextOf(fd, maxSmall)
}
