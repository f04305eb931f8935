package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// cost is what one run took.
type cost struct {
	took    time.Duration
	cpu     time.Duration // of all threads together, which may run side by side
	faults  int64         // minor page faults
	threads int64         // of the process and its children; 0: not counted
}

// costs are those of one helper doing one thing.
type costs struct {
	name    string
	all     []cost
	threads []int64
}

func (c *costs) add(one cost) {
	if one.threads > 0 {
		c.threads = append(c.threads, one.threads)
		return // its time is that of a traced process
	}
	c.all = append(c.all, one)
}

// print prints a line for each helper. The ratio to the first is the median of the
// ratios of all rounds.
func print(title string, table []*costs) {
	fmt.Printf("  %-18s %9s %7s %9s %7s %8s\n", title, "time", "ratio", "cpu", "faults", "threads")
	first := table[0]
	for _, c := range table {
		ratios := make([]float64, len(c.all))
		for i := range c.all {
			ratios[i] = float64(c.all[i].took) / float64(first.all[i].took)
		}
		fmt.Printf("    %-16s %7dus %7.2f", c.name, median(durations(c.all)).Microseconds(), median(ratios))
		fmt.Printf(" %7dus %7d", median(cpu(c.all)).Microseconds(), median(faults(c.all)))
		if len(c.threads) > 0 {
			fmt.Printf(" %8d", median(c.threads))
		}
		fmt.Println()
	}
}

func durations(all []cost) (d []time.Duration) {
	for _, c := range all {
		d = append(d, c.took)
	}
	return d
}

func cpu(all []cost) (d []time.Duration) {
	for _, c := range all {
		d = append(d, c.cpu)
	}
	return d
}

func faults(all []cost) (n []int64) {
	for _, c := range all {
		n = append(n, c.faults)
	}
	return n
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
