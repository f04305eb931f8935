package mtab

import (
	"strings"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// Listed is an entry as mountinfo has it: its ids are of the kind that may be
// used again.
type Listed struct {
	Entry
	// Options are the mount's own, comma-separated; SuperOptions are the file
	// system's.
	Options string
}

// Fuse gives the FUSE mounts of this namespace that can be reached from the
// process's root, in the order of the table: of two at one place, the upper one
// comes later.
func Fuse() (mounts []Listed, err error) {
	text, err := mountinfo()
	if err != nil {
		return nil, err
	}
	return fuseIn(text)
}

func fuseIn(text string) (mounts []Listed, err error) {
	for line := range strings.SplitSeq(text, "\n") {
		if !strings.Contains(line, " - fuse") { // most lines: not worth parsing
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return nil, err
		}
		if mountopts.IsFuse(e.Type) {
			options := strings.SplitN(line, " ", 7)[5] // parseLine has seen that there are so many
			mounts = append(mounts, Listed{Entry: e, Options: options})
		}
	}
	return mounts, nil
}
