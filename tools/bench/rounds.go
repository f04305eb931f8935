package main

import (
	"errors"
	"fmt"
)

// board holds the helpers that are compared, and the mountpoint that they share.
type board struct {
	mountpoint string
	helpers    []*helper
}

const (
	warmUp = 3
	traced = 5 // rounds in which threads are counted, after those that are timed
)

// turns calls f for each helper in each round, in alternation.
func turns(helpers []*helper, runs int, f func(h *helper, i int, counts bool) error) error {
	for round := range warmUp + runs + traced {
		for i, h := range helpers {
			h.traced = round >= warmUp+runs
			if err := f(h, i, round >= warmUp); err != nil {
				return fmt.Errorf("%s: %w", h.name, err)
			}
		}
	}
	for _, h := range helpers {
		h.traced = false
	}
	return nil
}

func tableFor(helpers []*helper) (table []*costs) {
	for _, h := range helpers {
		table = append(table, &costs{name: h.name})
	}
	return table
}

// starts compares the cost of a start alone.
func (b *board) starts(empty *helper, runs int) error {
	helpers := b.helpers
	if empty.path != "" {
		helpers = append(helpers[:len(helpers):len(helpers)], empty)
	}
	table := tableFor(helpers)
	err := turns(helpers, runs, func(h *helper, i int, counts bool) error {
		c, err := h.start("-V")
		if err != nil {
			return err
		}
		one, err := c.wait()
		if counts {
			table[i].add(one)
		}
		return errors.Join(err, c.close())
	})
	if err != nil {
		return err
	}
	fmt.Printf("the floor: %d rounds each, medians; an empty program does nothing\n", runs)
	print("-V", table)
	return nil
}

// rounds compares mounts and unmounts.
func (b *board) rounds(title string, runs int) error {
	mounts, unmounts := tableFor(b.helpers), tableFor(b.helpers)
	err := turns(b.helpers, runs, func(h *helper, i int, counts bool) error {
		mount, unmount, err := h.round(b.mountpoint)
		if counts {
			mounts[i].add(mount)
			unmounts[i].add(unmount)
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d rounds each, medians\n", title, runs)
	print("mount", mounts)
	print("unmount", unmounts)
	return nil
}
