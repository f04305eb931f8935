package helper

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-fusermount/fusermount/internal/fdpass"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/policy"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// mount mounts and hands the device over: find everything out as the caller,
// decide, mount, send.
func (h *helper) mount() error {
	h.about = aboutMount(h.req.Options)
	socket, err := h.commSocket()
	if err != nil {
		return err
	}
	if err := h.only(h.tasksOfMount()); err != nil {
		return err
	}
	place, err := mount.Resolve(h.req.Mountpoint)
	if err != nil {
		return err
	}
	h.path = place.Path()
	at, err := place.Pin(h.who.UID)
	if err != nil {
		return err
	}
	device, err := mount.OpenDevice(devicePath())
	if err != nil {
		return err
	}
	plan, err := h.judgeMount(at, device, h.report.warn)
	if err != nil {
		return err
	}
	if h.req.SyncInit {
		return h.mountInTwoPhases(plan, device, at, socket)
	}
	return h.mountAndSend(plan, device, at, socket)
}

// tasksOfMount is what mounting may come to, by the words of the request.
func (h *helper) tasksOfMount() seccomp.Task {
	tasks := seccomp.Mount
	if h.req.SyncInit {
		tasks |= seccomp.Answer
	} else {
		tasks |= seccomp.OldMount
	}
	if h.mentions("auto_unmount") {
		tasks |= seccomp.Leave | seccomp.Watch
	}
	tables := []sight{mtab.SeesMtab}
	if h.mentions("x-") {
		tables = append(tables, mtab.SeesUtab)
	}
	return tasks | h.ifAny(tables...)
}

// mentions says whether an option may be among those that are asked for: what
// is costly, or a privilege to be kept, is looked at for nobody else.
func (h *helper) mentions(option string) bool {
	return slices.ContainsFunc(h.req.Options, func(list string) bool { return strings.Contains(list, option) })
}

// mountAndSend mounts, records the mount and sends the device. Whatever fails
// after the mount was attached takes it back.
func (h *helper) mountAndSend(plan policy.Plan, device *mount.Device, at *mount.Mountpoint, socket int) error {
	mounted, err := mount.Mount(plan, device, at, h.judgeAgain(at, device))
	if err != nil {
		return h.takeBack(err, mounted)
	}
	recorded := h.record(plan, mounted)
	h.logDone("mounted")
	err = mounted.Release()
	if err == nil {
		err = sendDevice(socket, device)
	}
	if err != nil {
		return h.takeBack(err, mounted)
	}
	return h.handedOver(plan, mounted, recorded, socket)
}

func sendDevice(socket int, device *mount.Device) error {
	if err := fdpass.Send(socket, device.FD()); err != nil {
		return fmt.Errorf("failed to send the fuse descriptor: %s", mount.Strerror(err))
	}
	return nil
}

// handedOver is what remains when the caller has his mount: to watch it, or to
// end.
func (h *helper) handedOver(plan policy.Plan, mounted *mount.Mounted, recorded bool, socket int) error {
	h.over = true
	if plan.AutoUnmount() {
		h.tellHeld() // leave gives up standard error
		err := h.leave(socket, recorded)
		if err == nil {
			return h.watch(socket, mounted.Entry())
		}
		h.report.warn("warning: the mount will not be unmounted automatically: " + err.Error())
	}
	// No failure now is one of the mount: what could not be given up ends with
	// the process.
	if err := priv.GiveUp(); err != nil {
		h.report.warn("warning: " + err.Error())
	}
	return nil
}

// takeBack unmounts what was just mounted, with all the checks of -u, on the
// mount itself and not on its path, and says so besides why. If that fails it is
// tried once more: this is a failure already, perhaps for want of memory, and nobody
// serves the mount.
func (h *helper) takeBack(why error, mounted *mount.Mounted) error {
	if mounted == nil {
		return why
	}
	err := h.tryTakeBack(mounted)
	if err != nil {
		err = h.tryTakeBack(mounted)
	}
	if err != nil {
		return fmt.Errorf("%w; the mount could not be taken back: %w", why, err)
	}
	return fmt.Errorf("%w; the mount was taken back", why)
}

func (h *helper) tryTakeBack(mounted *mount.Mounted) error {
	target, err := mounted.Target()
	if errors.Is(err, mtab.ErrNotListed) {
		return nil // somebody was faster
	}
	if err != nil {
		return err
	}
	return h.unmountTarget(target, true)
}
