package fusermount

import (
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusedev"
)

// openDevice opens the fuse device: close-on-exec, and blocking (see
// [Mounted.File]).
func openDevice() (int, error) {
	for {
		fd, err := unix.Open(fusedev.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			err = because("open "+fusedev.Path+": "+err.Error(), ErrNoDevice, err)
		}
		return fd, err
	}
}

// askSync has the kernel ask the daemon before it makes the mount, and not
// after. Only Linux 6.18 can; the device stays as it was where it cannot.
func askSync(device int) bool { return fusedev.SyncInit(device) == nil }

// refuseInit answers the kernel's first question with an error in the daemon's
// place, so that a mount in the making ends: nothing else can end it when the
// daemon is silent. Whoever reads the device there, and when, is not known: the
// question is refused whether the daemon has read it before, reads it now, or never
// does. It owns device, and waits for the question until over is closed: from then
// on there will be none.
func refuseInit(device int, over <-chan struct{}) {
	defer unix.Close(device)
	var read chan struct{} // closed when a read has ended
	for {
		err := refuse(device, firstRequest)
		if read == nil && errors.Is(err, unix.ENOENT) {
			// The kernel asks, and nobody has read it. A read before that would wait
			// for a mount, for ever if none comes.
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
		case <-time.After(blink):
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

// refuseUnread refuses the next question, if there is one before the end.
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

// From linux/fuse.h, struct fuse_in_header: 4 bytes of length, 4 of the opcode,
// and 8 that number the request, of which the first is 2. In fuse_out_header the
// negative error stands in the opcode's place.
const (
	headerSize   = 40
	answerSize   = 16
	firstRequest = 2
)

// refuse answers a request. The error is EPERM as long as the device belongs to no
// file system, and ENOENT where nobody has read such a request.
func refuse(device int, request uint64) error {
	answer := binary.NativeEndian.AppendUint32(nil, answerSize)
	answer = binary.NativeEndian.AppendUint32(answer, negative(unix.EINTR))
	_, err := unix.Write(device, binary.NativeEndian.AppendUint64(answer, request))
	return err
}

func negative(errno unix.Errno) uint32 { return uint32(-int32(errno)) }
