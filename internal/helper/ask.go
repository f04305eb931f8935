package helper

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/ask"
	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// Where this program has no right to mount, the mount service may have it: this file asks it.

// connect connects to the mount service if this process cannot mount by itself; nil: it is to try.
func connect(r *run) *ask.Conn {
	if r.who.Origin.Permitted&uint64(priv.SysAdmin) != 0 {
		return nil
	}
	c, err := ask.Connect(servicePath(), nil)
	if err != nil { // the kernel will say what is missing
		r.noService = err
		return nil
	}
	return c
}

// askService has the service carry out the request.
func askService(r *run, c *ask.Conn) error {
	defer c.Close()
	place, err := mount.Resolve(r.req.Mountpoint)
	if err != nil {
		return err
	}
	parent, name := place.Parent()
	if name == "." && r.req.Mode == cmdline.Unmount {
		return &policy.Refusal{Reason: "entry for / not found in /etc/mtab", Advice: "the mount service cannot unmount the root directory"}
	}
	if name == "." {
		return &policy.Refusal{Reason: "bad mount point " + place.Path + ": the mount service cannot cover the root directory"}
	}
	request := &wire.Request{Name: name, Path: place.Path}
	fds, proof := []int{parent}, -1
	if r.req.Mode != cmdline.Unmount {
		socket, err := commSocket(r)
		if err != nil {
			return err
		}
		fds = append(fds, socket)
	}
	switch r.req.Mode {
	case cmdline.Unmount:
		r.report.muted = r.req.Quiet
		request.Op = wire.Unmount
		if r.req.Lazy {
			request.Flags |= wire.Lazy
		}
	case cmdline.Watch:
		request.Op = wire.Watch
	default:
		file := -1
		if proof, file, err = askMount(r, place, request); err != nil {
			return err
		}
		if file >= 0 {
			fds = append(fds, file)
		}
	}
	reply, err := c.Do(request, proof, fds...)
	if err != nil {
		return err
	}
	for _, notice := range reply.Notices {
		r.report.warn(notice)
	}
	if reply.Errno != 0 {
		return &policy.Refusal{Reason: reply.Text, Advice: reply.Hint}
	}
	return nil
}

// askMount completes a request to mount, and gives what proves that the caller may write to the
// mountpoint: the directory, or a descriptor to write to the file.
func askMount(r *run, place *mount.Place, request *wire.Request) (dir, file int, err error) {
	at, err := place.Pin(policy.Caller{UID: r.who.UID, GID: r.who.GID})
	if err != nil {
		return -1, -1, err
	}
	o, err := policy.Parse(r.req.Options...)
	if err != nil {
		return -1, -1, err
	}
	notices, err := policy.ForService(&o)
	for _, notice := range notices {
		r.report.warn(notice)
	}
	if err != nil {
		return -1, -1, err
	}
	if len(o.FSName) > wire.MaxName || len(o.Subtype) > wire.MaxName {
		return -1, -1, &mount.MountError{Errno: unix.ENAMETOOLONG}
	}
	request.Op = wire.Mount
	request.SetOptions(o)
	if r.req.SyncInit {
		request.Flags |= wire.SyncInit
	}
	if at.Facts.IsDirectory() {
		return at.FD(), -1, nil
	}
	parent, name := place.Parent()
	file, err = rawfile.Open(pathfd.Link(at.FD()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, unix.ENOENT) { // without /proc
		file, err = rawfile.Openat(parent, name, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		file = -1 // the service says what is missing
	}
	return -1, file, nil
}
