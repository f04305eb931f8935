//go:build linux

package service

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
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
	terms   *Terms         // of the client's socket; nil: those of fuse.conf
	outcome Outcome        // for the supervisor, where there are terms
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
	if w.socket, err = w.take(); err != nil || w.socket < 0 { // the supervisor ends
		return err
	}
	if w.client, err = peer.Of(w.socket); err != nil {
		return err
	}
	w.outcome.UID = w.client.UID
	var failed error
	late := w.terms != nil && w.terms.Volume >= 0 // the request tells which mount namespace it is about
	if !late {
		failed = w.enter(false) // while the client makes their proof
	}
	r, fds, err := w.receive()
	if err != nil {
		w.refuse(unix.EPROTO, err)
		return nil
	}
	w.outcome.Op, w.outcome.Mountpoint, w.outcome.Type = r.Op, r.Path, r.Options().Subtype
	if failed == nil {
		failed = w.allowed(r)
	}
	volume := false
	if late && failed == nil {
		volume, failed = w.terms.names(r, fds[0])
	}
	if volume && failed == nil && r.Op == wire.Mount {
		failed = w.supersede()
	}
	if late && failed == nil {
		failed = w.enter(volume)
	}
	var g *helper.Guest
	if err = failed; err == nil {
		g, err = w.guest(r, fds, volume)
	}
	if err != nil {
		for _, fd := range fds { // one may keep busy what the client unmounts next
			_ = unix.Close(fd)
		}
		w.refuse(errnoOf(err), err)
		return nil
	}
	helper.Serve(g, w.version)
	return nil
}

// take waits for a client from the supervisor. The socket is -1 if there will be none.
func (w *worker) take() (socket int, err error) {
	message := make([]byte, maxTerms)
	fds, n, err := receive(controlFD, message, 2)
	if err != nil || len(fds) == 0 {
		return -1, err
	}
	if n < len(w.nonce) {
		return -1, fmt.Errorf("a nonce of %d bytes", n)
	}
	if terms := message[copy(w.nonce[:], message):n]; len(terms) > 0 {
		w.terms, err = decodeTerms(terms, fds[1:])
	}
	return fds[0], err
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

// refuse answers before a request is carried out.
func (w *worker) refuse(errno unix.Errno, err error) {
	w.report(errno, err.Error())
	refuse(w.socket, errno, err.Error(), hintOf(err))
}

// report tells the supervisor how the request has ended, before the client can act on the answer.
func (w *worker) report(errno unix.Errno, text string) {
	if w.terms != nil {
		w.outcome.Errno, w.outcome.Text = errno, text
		w.outcome.report()
	}
}

// refuse answers with an error. A client who is gone cannot be told.
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

// enter makes this process the client, in their mount namespace, or in its own one to serve the
// volume of their socket.
func (w *worker) enter(volume bool) (err error) {
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
	if !volume {
		if err := w.table.Enter(); err != nil {
			return err
		}
		mtab.Use(id, func(call func() error) error { return priv.With(priv.SysAdmin, call) })
	}
	if err := become(w.client.UID, w.client.GID, w.client.Groups); err != nil {
		return err
	}
	w.inside = owned{uid: w.client.UID, gid: w.client.GID}
	if !w.owner.Same(w.own) {
		table := -1 // this thread is there
		if volume {
			table = w.table.FD
		}
		w.inside, err = openIn(w.owner.FD, table, w.socket, childLimit)
	}
	return err
}

// guest is the request of the client that this process has become.
func (w *worker) guest(r wire.Request, fds []int, volume bool) (*helper.Guest, error) {
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
		Place: mount.PlaceOf(fds[0], r.Name, r.Path), Connection: w.socket, Comm: -1,
		Supervisor: controlFD, Root: root,
		Count:  w.count,
		Proven: func(at *mount.Mountpoint) error { return w.proven(at, fds) },
		Wait:   func(limit time.Duration) error { return tell(messageLimit, uint32(limit/time.Second)) },
		Watch:  mayWatch,
		Answer: w.answer,
	}
	if len(fds) > 1 {
		g.Comm = fds[1]
	}
	if w.terms != nil {
		g.Settings, g.Count = w.terms.settings(!w.owner.Same(w.own)), claim
		g.Mounted = func(connection uint32) error { return tell(messageMounted, connection) }
	}
	if volume {
		g.Place = mount.PlaceOf(w.terms.Volume, VolumeMount, r.Path)
		g.Proven = func(*mount.Mountpoint) error { return w.provenToServe() }
	}
	return g, errors.Join(w.table.Close(), w.owner.Close(), w.own.Close(), w.client.Close())
}

// allowed refuses what the terms of the client's socket forbid, apart from fuse.conf's settings.
func (w *worker) allowed(r wire.Request) error {
	if r.Op != wire.Mount || w.terms == nil {
		return nil
	}
	if types, subtype := w.terms.Types, r.Options().Subtype; len(types) > 0 && !slices.Contains(types, subtype) {
		return &policy.Refusal{
			Reason: fmt.Sprintf("file systems of type %q may not be mounted here", subtype),
			Advice: "allowed are " + strings.Join(types, ", "),
		}
	}
	return nil
}

// answer sends the reply, and ends the connection.
func (w *worker) answer(o helper.Outcome) {
	r := wire.Reply{Errno: o.Errno, Hint: o.Hint, Notices: o.Notices}
	if o.Err != nil {
		r.Text = o.Err.Error()
	}
	message := r.Append(nil)
	w.report(unix.Errno(o.Errno), r.Text)
	if send(w.socket, message) != nil { // it may have been for want of memory: the client needs to know
		_ = send(w.socket, message) // one who is gone cannot be told
	}
	_ = unix.Close(w.socket)
}

// count gives the number of FUSE file systems that the system has.
func (w *worker) count(int) (int, error) {
	n, err := mount.Connections(w.control)
	if err != nil {
		err = fmt.Errorf("the FUSE file systems cannot be counted (fusectl): %w", err)
	}
	return n, err
}

// claim asks the supervisor how many file systems the socket's clients have.
func claim(int) (int, error) {
	if err := tell(messageClaim, 0); err != nil {
		return 0, err
	}
	answer, n := make([]byte, 4), 0
	err := rawfile.RetryEINTR(func() (err error) {
		n, err = unix.Read(controlFD, answer)
		return err
	})
	if err == nil && n != len(answer) {
		err = errors.New("the mount service ends")
	}
	return int(binary.NativeEndian.Uint32(answer)), err
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
