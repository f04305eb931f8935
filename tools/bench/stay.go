package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// watchers times mounts with auto_unmount, until the caller has the device, and
// prints what each helper costs while it stays.
func watchers(mountpoint string, a, b *helper, runs int) error {
	a.mount, b.mount = nil, nil
	for i := range runs + 3 {
		for _, h := range []*helper{a, b} {
			if err := h.watched(mountpoint, i >= 3); err != nil {
				return fmt.Errorf("%s: auto_unmount: %w", h.name, err)
			}
		}
	}
	fmt.Printf("auto_unmount, %d rounds each, medians\n", runs)
	row("mount", a.mount, b.mount)
	for _, h := range []*helper{a, b} {
		if err := h.memory(mountpoint); err != nil {
			return fmt.Errorf("%s: memory: %w", h.name, err)
		}
	}
	fmt.Printf("  %-8s %7dkB %7dkB   private memory of one of %d watchers\n", "watcher", a.private, b.private, crowdOfWatchers)
	return nil
}

func (h *helper) watched(mountpoint string, counts bool) error {
	c, err := h.start("-o", "auto_unmount", mountpoint)
	if err != nil {
		return err
	}
	if err := c.receive(); err != nil {
		return errors.Join(err, c.close())
	}
	if counts {
		h.mount = append(h.mount, time.Since(c.began))
	}
	_, err = h.unmount(mountpoint)
	err = errors.Join(err, c.close())
	_, ended := c.wait()
	return errors.Join(err, ended)
}

// crowdOfWatchers is how many wait at once, so that what they share shows.
const crowdOfWatchers = 20

// memory measures what one of many watchers has to itself.
func (h *helper) memory(mountpoint string) (err error) {
	var all []*call
	defer func() { err = errors.Join(err, h.endAll(all)) }()
	for i := range crowdOfWatchers {
		dir := mountpoint + strconv.Itoa(i)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chown(dir, user, user)); err != nil {
			return err
		}
		c, err := h.start("-o", "auto_unmount", dir)
		if err != nil {
			return err
		}
		all = append(all, c)
		if err := c.receive(); err != nil {
			return err
		}
	}
	time.Sleep(200 * time.Millisecond) // until they have settled
	h.private, err = privateMemory(all[len(all)/2].process.Pid)
	return err
}

// endAll unmounts what the calls have mounted, and waits for their watchers.
func (h *helper) endAll(all []*call) (err error) {
	for _, c := range all {
		_, unmounted := h.unmount(c.args[len(c.args)-1])
		err = errors.Join(err, unmounted, c.close())
		_, ended := c.wait()
		err = errors.Join(err, ended)
	}
	return err
}

// privateMemory gives what a process shares with no other, in kB.
func privateMemory(pid int) (sum int, err error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[0], "Private_") {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				return 0, err
			}
			sum += kb
		}
	}
	return sum, nil
}

// twoPhases times mounts with sync-init, from the start to the status. Debian's
// C helper has no such thing: an ordinary mount by ours stands beside it.
func twoPhases(mountpoint string, a *helper, runs int) error {
	a.mount = nil
	var classic []time.Duration
	for i := range runs + 3 {
		took, err := a.answered(mountpoint)
		if err != nil {
			return fmt.Errorf("%s: sync-init: %w", a.name, err)
		}
		c, err := a.start(mountpoint)
		if err != nil {
			return err
		}
		plain, err := c.wait()
		_, unmounted := a.unmount(mountpoint)
		if err := errors.Join(err, unmounted, c.close()); err != nil {
			return err
		}
		if i >= 3 {
			a.mount, classic = append(a.mount, took), append(classic, plain)
		}
	}
	fmt.Printf("sync-init, %d rounds, medians; the second column is ours without it\n", runs)
	row("mount", a.mount, classic)
	return nil
}

// answered mounts in two phases, and answers at once.
func (h *helper) answered(mountpoint string) (took time.Duration, err error) {
	c, err := h.start("--sync-init", "--", mountpoint)
	if err != nil {
		return 0, err
	}
	if err := c.receive(); err != nil {
		return 0, errors.Join(err, c.close())
	}
	status, err := c.answer()
	took = time.Since(c.began)
	if err == nil && status != 0 {
		err = fmt.Errorf("status %d", status)
	}
	_, ended := c.wait()
	_, unmounted := h.unmount(mountpoint)
	return took, errors.Join(err, ended, unmounted, c.close())
}
