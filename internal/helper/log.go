package helper

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/printable"
)

// Refusals and successes go to syslog, so that an administrator sees who
// mounts what. No flag or variable of the caller's turns that off.
const (
	logSocket = "/dev/log"
	// LOG_AUTHPRIV|LOG_NOTICE (syslog(3)).
	logPriority = "85"
)

// aboutMount says what the options ask for.
func aboutMount(options []string) string {
	fstype, source, ok := policy.Names(devicePath(), options...)
	if !ok {
		return "" // the options are nonsense, and the mount is refused
	}
	return about(fstype, source)
}

func about(fstype, source string) string {
	return " type " + cut(fstype) + " source " + cut(source)
}

// logDone logs a success. A mount is logged before its caller hears of it: from then
// on he could kill us to keep it out of the log.
func (h *helper) logDone(what string) { h.log(what + " " + cut(h.path) + h.about) }

// logged logs why the caller did not get what he asked for.
func (h *helper) logged(what string, err error) error {
	if err != nil && !h.over {
		h.logRefusal(what, err)
	}
	return err
}

func (h *helper) logRefusal(what string, err error) {
	h.log(what + " of " + cut(h.path) + h.about + " refused: " + cut(err.Error()))
}

// maxField bounds each part of a line in bytes: no name may make the line too
// long to be sent, and so hide what was done.
const maxField = 512

func cut(text string) string {
	if len(text) <= maxField {
		return text
	}
	return text[:maxField] + "[...]"
}

// log sends one datagram. It never waits for the reader; where there is none,
// or it is slow, the line is lost and nobody is the worse for it.
func (h *helper) log(text string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	// The first use of package fmt costs seven page faults; a mount makes no other.
	line := "<" + logPriority + ">fusermount3[" + strconv.Itoa(unix.Getpid()) + "]: uid " +
		strconv.FormatUint(uint64(h.who.UID), 10) + ": " + strings.ToValidUTF8(printable.Text(text), "?")
	_ = unix.Sendto(fd, []byte(line), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: logSocket})
}
