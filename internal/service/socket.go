//go:build linux

package service

import (
	"errors"
	"log"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Socket is where clients connect.
type Socket struct {
	s      *Supervisor
	listen *os.File
	terms  *Terms
	ended  chan error // the result of accept

	// Of a socket with terms; the supervisor's lock protects it.
	live map[uint32]uint64 // what its clients have mounted: the connections, with their inodes
}

// account is whose requests are counted together: a user's, or, where a socket has its own terms, all
// of the socket's.
type account struct {
	socket *Socket
	uid    uint32
}

// Add takes over a listening socket of type SOCK_SEQPACKET. Its clients get what fuse.conf grants to
// users, or what terms say. live are the connections of file systems that clients have mounted before
// by a socket of which this one takes the place.
func (s *Supervisor) Add(listen int, terms *Terms, live []uint32) (*Socket, error) {
	err := os.NewSyscallError("fcntl", unix.SetNonblock(listen, true))
	if err == nil && terms != nil {
		err = terms.check()
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(listen))
	}
	k := &Socket{
		s: s, listen: os.NewFile(uintptr(listen), "socket"), terms: terms, live: map[uint32]uint64{}, ended: make(chan error, 1),
	}
	s.count(func() {
		s.sockets[k] = true
		for _, number := range live {
			k.add(number)
		}
	})
	go func() { k.ended <- k.accept() }()
	return k, nil
}

// Close ends a socket with its requests: clients that wait are disconnected, and workers that serve
// one, or watch a mount, are killed. It returns when they have ended.
func (k *Socket) Close() error {
	s := k.s
	k.stop()
	err := <-k.ended // no further client is queued
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.queue.drop(func(a account) bool { return a.socket == k }) {
		_ = unix.Close(c.fd) // the client sees it
	}
	for running := true; running; {
		running = false
		for w := range s.running {
			if w.socket == k {
				running = true
				_ = w.cmd.Process.Kill() // it may have ended just now
			}
		}
		if running {
			s.changed.Wait()
		}
	}
	return err
}

// stop makes accept return.
func (k *Socket) stop() { _ = k.listen.SetReadDeadline(time.Now()) }

// Live gives the connections of the file systems that clients of a socket with terms have mounted, and
// that are there.
func (k *Socket) Live() []uint32 {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	k.prune()
	return slices.Sorted(maps.Keys(k.live))
}

// accept queues clients until the listening socket's deadline.
func (k *Socket) accept() error {
	raw, err := k.listen.SyscallConn()
	for err == nil {
		var failed error
		fd := -1
		err = raw.Read(func(listen uintptr) bool {
			fd, _, failed = unix.Accept4(int(listen), unix.SOCK_CLOEXEC)
			return !errors.Is(failed, unix.EAGAIN)
		})
		switch {
		case err != nil:
		case failed == nil:
			k.s.count(func() { k.enqueue(fd) })
		case errors.Is(failed, unix.EMFILE), errors.Is(failed, unix.ENFILE), errors.Is(failed, unix.ENOMEM):
			time.Sleep(10 * time.Millisecond) // until some client is served
		case !errors.Is(failed, unix.EINTR) && !errors.Is(failed, unix.ECONNABORTED):
			err = os.NewSyscallError("accept", failed)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	err = errors.Join(err, k.listen.Close())
	if err != nil && k.terms != nil {
		log.Printf("a socket accepts no clients any more: %v", err)
	}
	k.s.count(func() {
		delete(k.s.sockets, k)
		if k.terms == nil {
			k.s.ending, k.s.failed = true, err
		}
	})
	return err
}

// enqueue takes over a connection, and greets the client, who can make the proof while they wait.
func (k *Socket) enqueue(fd int) {
	c, a := connection{fd: fd}, account{socket: k}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err == nil {
		err = c.greet()
	}
	if err == nil && k.terms == nil {
		a.uid = cred.Uid
	}
	if err == nil && k.s.queue.push(a, c) {
		return
	}
	if err == nil {
		const busy = "the mount service is busy with too many of your requests"
		refuse(fd, unix.EAGAIN, busy, "try again when some of them have ended")
		if k.s.done != nil && k.terms != nil {
			go k.s.done(k, Outcome{UID: cred.Uid, Errno: unix.EAGAIN, Text: busy}) // the lock is held here
		}
	}
	_ = unix.Close(fd) // the client sees it
}

// claim lets a worker mount one more file system, and says how many there are already: those that are
// mounted, and those that other workers may be about to mount.
func (k *Socket) claim(w *workerProcess) (others int) {
	k.s.count(func() {
		k.prune()
		others = len(k.live)
		for other := range k.s.running {
			if other.socket == k && other.claims && other != w {
				others++
			}
		}
		w.claims = true
	})
	return others
}

// mounted takes note of what a worker has mounted.
func (k *Socket) mounted(w *workerProcess, number uint32) {
	k.s.count(func() {
		w.claims = false
		k.add(number)
	})
}

// add counts a file system.
func (k *Socket) add(number uint32) {
	inode, err := k.s.inode(number)
	if err == nil {
		k.live[number] = inode
	} else if !errors.Is(err, unix.ENOENT) { // it has ended
		log.Printf("the file system with connection %d: %v", number, err)
	}
}

// prune forgets file systems that are gone.
func (k *Socket) prune() {
	maps.DeleteFunc(k.live, func(number uint32, was uint64) bool {
		inode, err := k.s.inode(number)
		return errors.Is(err, unix.ENOENT) || err == nil && inode != was
	})
}

// inode is that of a connection's directory in fusectl. By it a later file system with the same number
// is told apart, for as long as somebody has fusectl mounted, as this process has.
func (s *Supervisor) inode(number uint32) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstatat(s.control, strconv.FormatUint(uint64(number), 10), &st, unix.AT_SYMLINK_NOFOLLOW)
	return st.Ino, err
}

// openControl opens a FUSE control file system that is never attached anywhere. Unlike a worker, the
// supervisor has its capabilities on all threads.
func openControl() (int, error) {
	context, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(context) // what was made of it stays
	if err := unix.FsconfigCreate(context); err != nil {
		return -1, os.NewSyscallError("fsconfig", err)
	}
	fd, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	return fd, os.NewSyscallError("fsmount", err)
}
