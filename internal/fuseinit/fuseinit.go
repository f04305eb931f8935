//go:build linux

// Package fuseinit answers the kernel's first request on a fuse device, FUSE_INIT, in
// the daemon's place, so that a mount ends for which the kernel waits (see
// connection.SyncInit).
package fuseinit

import (
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is the time between two attempts to refuse the request.
const pollInterval = 10 * time.Millisecond

// Refuse answers FUSE_INIT with an error, since nothing else ends a mount in the making
// when the daemon is silent. The request is refused whether the daemon has read it
// before, reads it now, or never reads it. Refuse owns device, and waits for the request
// until over is closed: from then on there will be none.
func Refuse(device int, over <-chan struct{}) {
	defer unix.Close(device)
	var read chan struct{} // closed when a read has ended
	for {
		err := refuse(device, firstRequest)
		if read == nil && errors.Is(err, unix.ENOENT) {
			// The kernel has sent the request and it was not read. A read before
			// this moment would wait for a mount, for ever if none comes.
			read = make(chan struct{})
			go func() {
				refuseUnread(device)
				close(read)
			}()
		}
		if err == nil || read == nil && isClosed(over) {
			break
		}
		select {
		case <-read:
			return
		case <-time.After(pollInterval):
		}
	}
	if read != nil {
		<-read
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// refuseUnread reads the next request, if there is one before the end, and refuses it.
func refuseUnread(device int) {
	buf := make([]byte, 1<<16) // the kernel wants room for the longest request
	for {
		n, err := unix.Read(device, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n >= headerSize {
			_ = refuse(device, binary.NativeEndian.Uint64(buf[8:])) // the connection may have ended
		}
		return
	}
}

// From linux/fuse.h, struct fuse_in_header: 4 bytes of length, 4 of the opcode, and 8 of
// the request's number, of which the first is 2. fuse_out_header has the negative error
// in the opcode's place.
const (
	headerSize   = 40
	answerSize   = 16
	firstRequest = 2
)

// refuse answers a request. The error is EPERM as long as the device belongs to no file
// system, and ENOENT where such a request was not read.
func refuse(device int, request uint64) error {
	errno := int32(unix.EINTR)
	answer := binary.NativeEndian.AppendUint32(nil, answerSize)
	answer = binary.NativeEndian.AppendUint32(answer, uint32(-errno))
	_, err := unix.Write(device, binary.NativeEndian.AppendUint64(answer, request))
	return err
}
