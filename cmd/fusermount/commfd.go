package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fdpass"
)

// commVariable names the socket's number. _FUSE_COMMFD2, the caller's own end,
// is of no interest.
const commVariable = "_FUSE_COMMFD"

// commSocket finds the socket on which the caller waits for the device.
func (h *helper) commSocket() (int, error) {
	name, text := "--comm-fd", h.req.commFD
	if !h.req.hasCommFD {
		var set bool
		if text, set = os.LookupEnv(commVariable); !set {
			return 0, errors.New("old style mounting not supported")
		}
		name = commVariable
	}
	fd, err := fdpass.ParseFD(text)
	if err != nil {
		return 0, errors.New("invalid " + name + ": " + text)
	}
	if err := fdpass.Check(fd); err != nil {
		return 0, err
	}
	if fd == unix.Stderr {
		h.report.mute()
	}
	return fd, nil
}
