package faults

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// What a caller does while the helper runs. The helper may end at any moment:
// that is no error here.

// answer is a caller of sync-init who serves the device, says so, and hears how
// the mount went.
func answer(r *run, p *fusetest.Proc) error {
	if err := r.receive(p); err != nil || r.dev == nil {
		return err
	}
	if p.Send([]byte{0}) != nil { // the helper has ended
		return nil
	}
	return r.receive(p)
}

// giveUp is a caller of sync-init whose daemon is silent, and who ends while the
// kernel waits for it.
func giveUp(r *run, p *fusetest.Proc) error {
	if err := r.receive(p); err != nil || r.dev == nil {
		return err
	}
	if err := fusetest.SyncInit(r.dev); err != nil {
		return err
	}
	if p.Send([]byte{0}) != nil {
		return nil
	}
	select {
	case <-r.creating:
	case <-p.Exited():
	}
	return p.CloseSocket()
}

// needSilence skips where no daemon can keep the kernel waiting.
func needSilence(t *testing.T) {
	t.Helper()
	dev, err := fusetest.OpenDevice()
	must(t, err)
	err = fusetest.SyncInit(dev)
	must(t, dev.Close())
	if err != nil {
		fusetest.Skip(t, "run a kernel with FUSE_DEV_IOC_SYNC_INIT (Linux 6.18): "+err.Error())
	}
}

// die is a daemon that is killed: all that it held is closed.
func die(r *run, p *fusetest.Proc) error {
	if !r.world.mode.mounted {
		if err := r.receive(p); err != nil {
			return err
		}
	}
	return errors.Join(shut(r.device()), p.CloseSocket())
}

func answerAndDie(r *run, p *fusetest.Proc) error {
	if err := answer(r, p); err != nil {
		return err
	}
	return errors.Join(shut(r.device()), p.CloseSocket())
}

// shut closes a device, if there is one.
func shut(dev **os.File) error {
	if *dev == nil {
		return nil
	}
	err := (*dev).Close()
	*dev = nil
	return err
}

// receive takes what comes on the socket next.
func (r *run) receive(p *fusetest.Proc) error {
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if errors.Is(err, unix.ECONNRESET) { // the helper has not read all
		return nil
	}
	r.take(got)
	return err
}

func (r *run) take(got fusetest.Received) {
	r.nfds += got.NFDs
	r.bytes = append(r.bytes, got.Bytes...)
	if got.Dev != nil {
		r.dev = got.Dev
	}
}
