//go:build linux

package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/helper"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/pathfd"
	"github.com/go-fusermount/fusermount/internal/peer"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/rawfile"
	"github.com/go-fusermount/fusermount/internal/wire"
)

// controlFD is a worker's socket to the supervisor.
const controlFD = 3

const (
	// requestLimit is how long a client may take to send its request.
	requestLimit = 5 * time.Second
	// childLimit is how long the child in a user namespace may take, whose root can stop it.
	childLimit = 5 * time.Second
)

// Work waits for one client, carries out its request, and returns the exit status. It must be
// called on the main thread of a process that does nothing else.
func Work(version string) int {
	w := &worker{version: version}
	if err := w.work(); err != nil {
		fmt.Fprintln(os.Stderr, "fusermountd: "+err.Error())
		return 1
	}
	return 0
}

type worker struct {
	version string
	control int // the root of fusectl
	socket  int // the connection
	client  peer.Peer
	nonce   wire.Nonce
	own     peer.Namespace // the user namespace of the service
	table   peer.Namespace // the mount namespace of the client
	owner   peer.Namespace // the user namespace that owns it
	inside  owned          // what it has of the client's
}

func (w *worker) work() error {
	unix.CloseOnExec(controlFD)
	var err error
	if w.control, err = prepare(); err != nil {
		return err
	}
	if w.own, err = peer.Own("user"); err != nil {
		return err
	}
	fds, n, err := receive(controlFD, w.nonce[:], 1)
	if err != nil || len(fds) == 0 { // the supervisor ends
		return err
	}
	if n != len(w.nonce) {
		return fmt.Errorf("a nonce of %d bytes", n)
	}
	w.socket = fds[0]
	if w.client, err = peer.Of(w.socket); err != nil {
		return err
	}
	failed := w.enter() // while the client makes their proof
	r, fds, err := w.receive()
	if err != nil {
		refuse(w.socket, unix.EPROTO, err.Error(), "")
		return nil
	}
	var g *helper.Guest
	if err = failed; err == nil {
		g, err = w.guest(r, fds)
	}
	if err != nil {
		for _, fd := range fds { // one may keep busy what the client unmounts next
			_ = unix.Close(fd)
		}
		refuse(w.socket, errnoOf(err), err.Error(), hintOf(err))
		return nil
	}
	helper.Serve(g, w.version)
	return nil
}

// tell sends the supervisor a message of one kind with one number. Where it has just ended, nobody
// counts any more.
func tell(kind byte, number uint32) error {
	err := rawfile.RetryEINTR(func() error {
		return unix.Sendto(controlFD, binary.NativeEndian.AppendUint32([]byte{kind}, number), unix.MSG_NOSIGNAL, nil)
	})
	if errors.Is(err, unix.EPIPE) {
		return nil
	}
	return err
}

// mayWatch asks the supervisor.
func mayWatch() error {
	if err := tell(messageWatch, 0); err != nil {
		return err
	}
	answer, n := []byte{0}, 0
	err := rawfile.RetryEINTR(func() (err error) {
		n, err = unix.Read(controlFD, answer)
		return err
	})
	if err == nil && n > 0 && answer[0] == refused {
		return errors.New("the mount service watches too many of your mounts")
	}
	return err
}

// send sends one message, and never waits.
func send(socket int, message []byte) error {
	return rawfile.RetryEINTR(func() error {
		return unix.Sendto(socket, message, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	})
}

// refuse answers before a request is carried out. A client who is gone cannot be told.
func refuse(socket int, errno unix.Errno, text, hint string) {
	_ = send(socket, wire.Reply{Errno: uint32(errno), Text: text, Hint: hint}.Append(nil))
}

// receive waits for the request. It owns all descriptors, which end with the process.
func (w *worker) receive() (r wire.Request, fds []int, err error) {
	deadline := time.Now().Add(requestLimit)
	poll := []unix.PollFd{{Fd: int32(w.socket), Events: unix.POLLIN}}
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return r, nil, errors.New("no request has arrived")
		}
		n, err := unix.Poll(poll, int(left/time.Millisecond)+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return r, nil, os.NewSyscallError("poll", err)
		}
		if err == nil && n > 0 {
			break
		}
	}
	buf := make([]byte, wire.MaxMessage)
	fds, n, err := receive(w.socket, buf, maxDescriptors)
	if err != nil {
		return r, nil, err
	}
	if r, err = wire.ParseRequest(buf[:n]); err != nil {
		return r, nil, err
	}
	if want := r.Descriptors(); len(fds) < want || len(fds) > want && (r.Op != wire.Mount || len(fds) > want+1) {
		return r, nil, fmt.Errorf("malformed message: %d descriptors", len(fds))
	}
	return r, fds, nil
}

// maxDescriptors come with a request.
const maxDescriptors = 3

// receive takes one message of n bytes. The kernel closes descriptors for which there is no room.
func receive(socket int, buf []byte, most int) (fds []int, n int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*most))
	oobn, flags := 0, 0
	err = rawfile.RetryEINTR(func() (err error) {
		n, oobn, flags, _, err = unix.Recvmsg(socket, buf, oob, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	switch {
	case err != nil:
		return nil, 0, os.NewSyscallError("recvmsg", err)
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		return nil, 0, errors.New("malformed message: it is too long, or has too many descriptors")
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, 0, err
	}
	for _, m := range messages {
		got, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, 0, err
		}
		fds = append(fds, got...)
	}
	return fds, n, nil
}

// modes are what the operations are called on the command line.
var modes = map[wire.Op]cmdline.Mode{wire.Mount: cmdline.Mount, wire.Unmount: cmdline.Unmount, wire.Watch: cmdline.Watch}

// enter makes this process the client, in their mount namespace.
func (w *worker) enter() (err error) {
	if err := untraceable(); err != nil {
		return err
	}
	if w.table, err = w.client.Mount(); err != nil {
		return err
	}
	id, err := w.table.MountID()
	if err != nil {
		return err
	}
	if w.owner, err = w.table.Owner(); err != nil {
		return err
	}
	if err := w.table.Enter(); err != nil {
		return err
	}
	mtab.Use(id, func(call func() error) error { return priv.With(priv.SysAdmin, call) })
	if err := become(w.client.UID, w.client.GID, w.client.Groups); err != nil {
		return err
	}
	w.inside = owned{uid: w.client.UID, gid: w.client.GID}
	if !w.owner.Same(w.own) {
		w.inside, err = openIn(w.owner.FD, w.socket, childLimit)
	}
	return err
}

// guest is the request of the client that this process has become.
func (w *worker) guest(r wire.Request, fds []int) (*helper.Guest, error) {
	if r.Op == wire.Mount && w.inside.noDevice != nil {
		return nil, w.inside.noDevice
	}
	root, err := pathfd.Open(unix.AT_FDCWD, "/", unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	g := &helper.Guest{
		UID: w.client.UID, GID: w.client.GID, Owner: w.inside.uid, Device: w.inside.device,
		Mode: modes[r.Op], Lazy: r.Flags&wire.Lazy != 0, SyncInit: r.Flags&wire.SyncInit != 0, Options: r.Options(),
		Place: mount.PlaceOf(fds[0], r.Name, r.Path), Control: w.control, Connection: w.socket, Comm: -1,
		Supervisor: controlFD, Root: root,
		Proven: func(at *mount.Mountpoint) error { return w.proven(at, fds) },
		Wait:   func(limit time.Duration) error { return tell(messageLimit, uint32(limit/time.Second)) },
		Watch:  mayWatch,
		Answer: w.answer,
	}
	if len(fds) > 1 {
		g.Comm = fds[1]
	}
	return g, errors.Join(w.table.Close(), w.owner.Close(), w.own.Close(), w.client.Close())
}

// answer sends the reply, and ends the connection.
func (w *worker) answer(o helper.Outcome) {
	r := wire.Reply{Errno: o.Errno, Hint: o.Hint, Notices: o.Notices}
	if o.Err != nil {
		r.Text = o.Err.Error()
	}
	message := r.Append(nil)
	if send(w.socket, message) != nil { // it may have been for want of memory: the client needs to know
		_ = send(w.socket, message) // one who is gone cannot be told
	}
	_ = unix.Close(w.socket)
}

// proven verifies that the client could write to the mountpoint: into a directory they have made a
// file with a name that only they know, and a file they could open. So the kernel has judged them,
// with everything that it knows of them (Landlock, security modules). Ids alone do not tell that.
func (w *worker) proven(at *mount.Mountpoint, fds []int) error {
	refusal := &policy.Refusal{
		Reason: "user has no write access to mountpoint " + at.Facts.Path,
		Advice: "the client could not write there: a sandbox may forbid it",
	}
	if at.Facts.IsDirectory() {
		fd, err := pathfd.Open(at.FD(), w.nonce.Name(), unix.O_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			return refusal
		}
		if err != nil {
			return fmt.Errorf("proof of write access: %w", err)
		}
		return unix.Close(fd)
	}
	if len(fds) < 3 {
		return refusal
	}
	flags, err := unix.FcntlInt(uintptr(fds[2]), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_PATH != 0 || flags&unix.O_ACCMODE == unix.O_RDONLY {
		return refusal
	}
	var file, there unix.Stat_t
	same, err := mtab.SameMount(fds[2], at.FD())
	err = errors.Join(err, unix.Fstat(fds[2], &file), unix.Fstat(at.FD(), &there))
	if err != nil || !same || file.Dev != there.Dev || file.Ino != there.Ino {
		return refusal
	}
	return nil
}

func errnoOf(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) && errno != 0 {
		return errno
	}
	return unix.EIO
}

func hintOf(err error) string {
	var own interface{ Hint() string }
	switch {
	case errors.As(err, &own):
		return own.Hint()
	case errors.Is(err, unix.ESRCH):
		return "the process that has connected to the mount service must live until it is answered"
	}
	return ""
}
