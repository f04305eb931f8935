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
func (b *board) watchers(runs int) error {
	table := tableFor(b.helpers)
	for round := range runs + warmUp {
		for i, h := range b.helpers {
			took, err := h.watched(b.mountpoint)
			if err != nil {
				return fmt.Errorf("%s: auto_unmount: %w", h.name, err)
			}
			if round >= warmUp {
				table[i].add(took)
			}
		}
	}
	fmt.Printf("auto_unmount, %d rounds each, medians, until the caller has the device; faults of all of its life\n", runs)
	print("mount", table)
	for _, h := range b.helpers {
		private, err := h.memory(b.mountpoint)
		if err != nil {
			return fmt.Errorf("%s: memory: %w", h.name, err)
		}
		fmt.Printf("    %-16s %7dkB   private memory of one of %d watchers\n", h.name, private, crowdOfWatchers)
	}
	return nil
}

func (h *helper) watched(mountpoint string) (took cost, err error) {
	c, err := h.start("-o", "auto_unmount", mountpoint)
	if err != nil {
		return took, err
	}
	if err := c.receive(); err != nil {
		return took, errors.Join(err, c.close())
	}
	until := time.Since(c.began)
	_, err = h.unmount(mountpoint)
	err = errors.Join(err, c.close())
	took, ended := c.wait()
	took.took = until
	return took, errors.Join(err, ended)
}

// crowdOfWatchers is how many wait at once, so that what they share shows.
const crowdOfWatchers = 20

// memory measures what one of many watchers has to itself, in kB.
func (h *helper) memory(mountpoint string) (private int, err error) {
	var all []*call
	defer func() { err = errors.Join(err, h.endAll(all)) }()
	for i := range crowdOfWatchers {
		dir := mountpoint + strconv.Itoa(i)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chown(dir, user, user)); err != nil {
			return 0, err
		}
		c, err := h.start("-o", "auto_unmount", dir)
		if err != nil {
			return 0, err
		}
		all = append(all, c)
		if err := c.receive(); err != nil {
			return 0, err
		}
	}
	time.Sleep(200 * time.Millisecond) // until they have settled
	return privateMemory(all[len(all)/2].process.Pid)
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
func (b *board) twoPhases(runs int) error {
	plain, answered := &costs{name: "without"}, &costs{name: "with"}
	h := b.helpers[1]
	for round := range runs + warmUp {
		one, _, err := h.round(b.mountpoint)
		if err != nil {
			return err
		}
		two, err := h.answered(b.mountpoint)
		if err != nil {
			return fmt.Errorf("%s: sync-init: %w", h.name, err)
		}
		if round >= warmUp {
			plain.add(one)
			answered.add(two)
		}
	}
	fmt.Printf("sync-init, %d rounds each, medians, until the status has come\n", runs)
	print("mount by "+h.name, []*costs{plain, answered})
	return nil
}

// answered mounts in two phases, and answers at once.
func (h *helper) answered(mountpoint string) (took cost, err error) {
	c, err := h.start("--sync-init", "--", mountpoint)
	if err != nil {
		return took, err
	}
	if err := c.receive(); err != nil {
		return took, errors.Join(err, c.close())
	}
	status, err := c.answer()
	until := time.Since(c.began)
	if err == nil && status != 0 {
		err = fmt.Errorf("status %d", status)
	}
	took, ended := c.wait()
	took.took = until
	_, unmounted := h.unmount(mountpoint)
	return took, errors.Join(err, ended, unmounted, c.close())
}
