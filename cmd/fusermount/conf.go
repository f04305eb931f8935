package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/kernel"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// harmless are the errors after which the defaults hold: the file is not
// there for this caller, and the defaults are the safe side.
var harmless = []error{
	unix.EACCES, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOTDIR, unix.EOVERFLOW,
}

// settings reads /etc/fuse.conf as the caller.
func (h *helper) settings() (fuseconf.Settings, error) {
	fd, err := rawfile.Open(fuseconf.Path, unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return fuseconf.Defaults(), nil
	case err != nil:
		failed := fmt.Errorf("failed to open %s: %s", fuseconf.Path, kernel.Strerror(err))
		for _, e := range harmless {
			if errors.Is(err, e) {
				h.report.fail(failed)
				return fuseconf.Defaults(), nil
			}
		}
		return fuseconf.Settings{}, failed
	}
	defer unix.Close(fd)
	if problem, err := h.untrusted(fd); err != nil || problem != "" {
		if problem != "" {
			h.report.warn(fuseconf.Path + " ignored: " + problem)
		}
		return fuseconf.Defaults(), err
	}
	s, warnings, err := fuseconf.Parse(rawfile.Reader(fd))
	if err != nil {
		return fuseconf.Settings{}, fmt.Errorf("reading %s: read failed (%s)", fuseconf.Path, kernel.Strerror(err))
	}
	for _, w := range warnings {
		h.report.warn(w)
	}
	return s, nil
}

// untrusted says why the settings are not the administrator's. For a caller
// who is root they give nothing that he has not got, and in a user namespace
// of his own the file would seem to be nobody's.
func (h *helper) untrusted(fd int) (problem string, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", fmt.Errorf("failed to examine %s: %s", fuseconf.Path, kernel.Strerror(err))
	}
	switch {
	case h.who.UID == 0:
		return "", nil
	case st.Uid != 0:
		return "it is not owned by root", nil
	case st.Mode&0o022 != 0:
		return "it is writable for others than root", nil
	}
	return "", nil
}
