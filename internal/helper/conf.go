package helper

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// harmless are the errors after which the defaults hold: the file is not
// there for this caller, and the defaults are the safe side.
var harmless = []error{
	unix.EACCES, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOTDIR, unix.EOVERFLOW,
}

// conf is what was found of the settings.
type conf struct {
	settings fuseconf.Settings
	unused   string // why the file is not used, though nobody is kept from mounting
	allows   bool   // it is not used, and would have let users use allow_other
}

// settings reads /etc/fuse.conf as the caller, and tells what is wrong with it.
func (h *helper) settings(tell func(string)) (conf, error) {
	c, err := h.readConf(func(line fuseconf.Line) {
		for _, w := range line.Warnings {
			tell(w)
		}
	})
	if c.unused != "" {
		tell(c.unused)
	}
	return c, err
}

// readConf reports the lines of the file, if it is used.
func (h *helper) readConf(report func(fuseconf.Line)) (conf, error) {
	c := conf{settings: fuseconf.Defaults()}
	fd, err := rawfile.Open(fuseconf.Path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return c, nil
	case err != nil:
		failed := fmt.Errorf("failed to open %s: %s", fuseconf.Path, mount.Strerror(err))
		if slices.ContainsFunc(harmless, func(e error) bool { return errors.Is(err, e) }) {
			c.unused = failed.Error()
			return c, nil
		}
		return c, failed
	}
	defer unix.Close(fd)
	if problem, err := h.untrusted(fd); err != nil || problem != "" {
		if problem != "" {
			c.unused = fuseconf.Path + " ignored: " + problem
			c.allows = wouldAllow(fd)
		}
		return c, err
	}
	if c.settings, err = parseConf(fd, report); err != nil {
		return c, fmt.Errorf("reading %s: read failed (%s)", fuseconf.Path, mount.Strerror(err))
	}
	return c, nil
}

// wouldAllow looks at a file that is not used, for the words of a hint alone.
func wouldAllow(fd int) bool {
	s, err := parseConf(fd, nil)
	return err == nil && s.UserAllowOther
}

func parseConf(fd int, report func(fuseconf.Line)) (fuseconf.Settings, error) {
	text, err := rawfile.TextOf(fd, fuseconf.MaxFile+1)
	if err != nil {
		return fuseconf.Defaults(), err
	}
	return fuseconf.Parse(text, report)
}

// untrusted says why the settings are not the administrator's.
func (h *helper) untrusted(fd int) (problem string, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", fmt.Errorf("failed to examine %s: %s", fuseconf.Path, mount.Strerror(err))
	}
	return fuseconf.Untrusted(h.who.UID, st.Uid, st.Mode), nil
}
