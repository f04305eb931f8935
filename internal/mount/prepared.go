package mount

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
)

// Prepared is a file system of which the kernel knows everything, and which it
// has not created yet: the first half of sync-init.
type Prepared struct {
	params  fsparam.Params
	context int
	at      *Mountpoint
}

// Prepare describes a mount by plan to the kernel, with the new mount API: no
// other can be held in between. Whatever that API cannot do fails here.
func Prepare(plan policy.Plan, d *Device, at *Mountpoint) (*Prepared, error) {
	t, granted := plan.Params()
	if !granted {
		return nil, errNotGranted
	}
	held, err := at.held()
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, &MountError{Errno: unix.EINVAL, Message: mtab.ErrOutside.Error()}
	}
	if !t.Fits() {
		return nil, &MountError{Errno: unix.ENAMETOOLONG}
	}
	context, err := openContext(t, d)
	if err != nil {
		return nil, err
	}
	return &Prepared{params: t, context: context, at: at}, nil
}

// Mount creates the file system, which waits for its daemon if that asked for
// it, and attaches it over the pinned mountpoint. Meanwhile wait is called with
// a descriptor that can be read when the creation has ended; if wait gives up
// before that, with an error, the creation is broken off. last is that of [Mount].
// p must not be used again.
func (p *Prepared) Mount(wait func(ended int) error, last func() error) (*Mounted, error) {
	fd, err := p.mount(wait, last)
	_ = unix.Close(p.context) // it changes nothing about what was done
	if err != nil {
		return nil, err
	}
	return confirm(&Mounted{fd: fd, place: p.at.place}, p.params, p.at)
}

func (p *Prepared) mount(wait func(ended int) error, last func() error) (fd int, err error) {
	c, err := fsconfigCreateApart(p.context)
	if err != nil {
		return -1, &MountError{Errno: err}
	}
	gaveUp := wait(c.fd)
	if err := c.end(gaveUp != nil); gaveUp == nil && err != nil {
		return -1, &MountError{Errno: err, Message: fsparam.Messages(p.context)}
	}
	if gaveUp != nil {
		return -1, gaveUp
	}
	return attach(p.context, p.params, p.at, last)
}
