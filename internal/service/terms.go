//go:build linux

package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// AllowOther says who may use the option allow_other.
type AllowOther uint8

// Who may use allow_other. In a user namespace it lets in the processes of that namespace only.
const (
	AllowOtherNever AllowOther = iota
	AllowOtherInUserNamespace
	AllowOtherAlways
)

// Terms are what clients of a socket of its own get, in place of what fuse.conf grants to users, and
// of the count of all file systems of the machine.
type Terms struct {
	AllowOther AllowOther
	MountMax   int      // the file systems of all clients at a time
	Types      []string // the subtypes that may be mounted; empty: all
	// Volume is a directory of this process's mount namespace with the entries VolumeServe and
	// VolumeMount, or -1. A request to mount at the first one mounts at the second one, in this
	// process's mount namespace, and takes away what is mounted there. So other processes see the
	// file system where mounts propagate to them, and the client never has a dead one in the way.
	// The descriptor stays the caller's.
	Volume int
}

// The entries of Terms.Volume.
const (
	VolumeServe = "serve"
	VolumeMount = "volume"
)

// maxTerms is the length in bytes of what is sent to a worker: the nonce and the terms.
const maxTerms = 4096

// fixedTerms are the beginning of a message with terms. The types follow, with commas between.
type fixedTerms struct {
	AllowOther AllowOther
	Volume     bool
	MountMax   int32
}

func (t *Terms) check() error {
	if t.MountMax < 0 || t.MountMax > 1<<30 || len(t.encode()) > maxTerms/2 {
		return errors.New("terms: a limit or a list is too large")
	}
	if slices.ContainsFunc(t.Types, func(name string) bool { return name == "" || strings.Contains(name, ",") }) {
		return errors.New("terms: a type has no name, or a comma in it")
	}
	return nil
}

func (t *Terms) encode() []byte {
	fixed := fixedTerms{AllowOther: t.AllowOther, Volume: t.Volume >= 0, MountMax: int32(t.MountMax)}
	message, err := binary.Append(nil, binary.NativeEndian, fixed)
	if err != nil {
		panic(err) // the type has a fixed size
	}
	return append(message, strings.Join(t.Types, ",")...)
}

// decodeTerms reverses encode. fds are what came with it, and have the directory if there is one.
func decodeTerms(message []byte, fds []int) (*Terms, error) {
	var fixed fixedTerms
	n, err := binary.Decode(message, binary.NativeEndian, &fixed)
	if err != nil || fixed.Volume != (len(fds) == 1) {
		return nil, errors.New("malformed terms")
	}
	t := &Terms{AllowOther: fixed.AllowOther, MountMax: int(fixed.MountMax), Volume: -1}
	if types := string(message[n:]); types != "" {
		t.Types = strings.Split(types, ",")
	}
	if fixed.Volume {
		t.Volume = fds[0]
	}
	return t, nil
}

// settings are what fuse.conf would say to a client. foreign says that they are in a user namespace
// of their own.
func (t *Terms) settings(foreign bool) *fuseconf.Settings {
	return &fuseconf.Settings{
		UserAllowOther: t.AllowOther == AllowOtherAlways || t.AllowOther == AllowOtherInUserNamespace && foreign,
		MountMax:       t.MountMax,
	}
}

// names says whether a request is about the file system that is mounted in the directory of t. The
// error is for a mount at VolumeMount itself: it would hide the volume from the client alone.
func (t *Terms) names(r wire.Request, parent int) (bool, error) {
	if t.Volume < 0 || r.Name != VolumeServe && r.Name != VolumeMount {
		return false, nil
	}
	var theirs, ours unix.Stat_t
	if err := errors.Join(unix.Fstat(parent, &theirs), unix.Fstat(t.Volume, &ours)); err != nil {
		return false, err
	}
	if theirs.Dev != ours.Dev || theirs.Ino != ours.Ino {
		return false, nil
	}
	if r.Op == wire.Mount && r.Name == VolumeMount {
		return false, &policy.Refusal{
			Reason: "bad mount point " + r.Path + ": what is mounted at " + VolumeServe + " appears here",
			Advice: "mount at the directory " + VolumeServe + " beside it",
		}
	}
	return true, nil
}

// clear takes away what is mounted in the directory of t: what an earlier daemon has served.
func (t *Terms) clear() error {
	const most = 100
	path := fmt.Sprintf("/proc/self/fd/%d/%s", t.Volume, VolumeMount)
	for range most {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) { // nothing is mounted
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("unmount what was served before: %w", err)
		}
	}
	return fmt.Errorf("unmount what was served before: %w", unix.EBUSY)
}

// Outcome is how a request of a client has ended.
type Outcome struct {
	Op         wire.Op // 0: it is not known
	UID        uint32  // of the client, in this process's user namespace
	Mountpoint string  // as the client has told it
	Type       string  // of a mount, as the client has told it
	Errno      unix.Errno
	Text       string // the error; empty: there was none
	Duration   time.Duration
}

// maxOutcome is the length in bytes of a message with an outcome.
const maxOutcome = 16 << 10

// report tells the supervisor how the request has ended.
func (o *Outcome) report() {
	_ = rawfile.RetryEINTR(func() error { // where the supervisor has ended, nobody counts
		return unix.Sendto(controlFD, o.encode(), unix.MSG_NOSIGNAL, nil)
	})
}

func (o *Outcome) encode() []byte {
	message := binary.NativeEndian.AppendUint32([]byte{messageDone}, uint32(o.Errno))
	message = append(message, byte(o.Op))
	message = binary.NativeEndian.AppendUint32(message, o.UID)
	message = append(message, strings.Join([]string{o.Mountpoint, o.Type, o.Text}, "\x00")...) // no path and type has a NUL
	return message[:min(len(message), maxOutcome)]
}

// parseOutcome reverses encode, after the number.
func parseOutcome(errno uint32, message []byte) (o Outcome) {
	o.Errno = unix.Errno(errno)
	if len(message) < 5 {
		return o
	}
	o.Op, o.UID = wire.Op(message[0]), binary.NativeEndian.Uint32(message[1:])
	texts := strings.SplitN(string(message[5:]), "\x00", 3)
	for i, field := range []*string{&o.Mountpoint, &o.Type, &o.Text}[:len(texts)] {
		*field = texts[i]
	}
	return o
}
