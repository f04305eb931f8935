package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// users run at the same time, each with some mountpoints.
const (
	firstUser = 5001
	users     = 4
	places    = 2
)

const utab = "/run/mount/utab"

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

// duration is the time of the test.
func duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAKTIME")
	if text == "" {
		return 2 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SOAKTIME: %v", err)
	}
	return d
}

func TestSoak(t *testing.T) {
	program := helpertest.Install(t)
	before := prepare(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx, cancel := context.WithTimeout(t.Context(), duration(t))
	defer cancel()
	var all sync.WaitGroup
	sum := newCounts()
	for n := range uint64(users * places) {
		uid := firstUser + uint32(n%users)
		w := &worker{
			t: t, program: program, uid: uid, dir: fusetest.Dir(t, uid),
			rand: rand.New(rand.NewPCG(seed, n)), counts: sum,
		}
		all.Add(1)
		go func() {
			defer all.Done()
			w.work(ctx)
		}()
	}
	all.Wait()
	fmt.Println("soak:", sum)
	wantNothingLeft(t, before, sum)
}

// prepare makes the table of user space, and gives the descriptors of this process.
func prepare(t *testing.T) (descriptors []string) {
	t.Helper()
	helpertest.Must(t, os.MkdirAll("/run/mount", 0o755), os.WriteFile(utab, nil, 0o644))
	return helpertest.Descriptors(t, os.Getpid())
}

// wantNothingLeft compares with the state before.
func wantNothingLeft(t *testing.T, before []string, sum *counts) {
	t.Helper()
	for _, line := range fusetest.Mountinfo(t) {
		if strings.HasPrefix(line.FSType, "fuse") && line.FSType != "fusectl" {
			t.Errorf("still mounted: %+v", line)
		}
	}
	wantTables(t, sum)
	// A listener that was closed while it listened releases its socket a moment later.
	after := helpertest.Descriptors(t, os.Getpid())
	for end := time.Now().Add(fusetest.Patience); len(after) > len(before) && time.Now().Before(end); after = helpertest.Descriptors(t, os.Getpid()) {
		time.Sleep(10 * time.Millisecond)
	}
	if len(after) > len(before) {
		t.Errorf("descriptors before: %v, after: %v", before, after)
	}
}

// wantTables wants only lines of killed helpers in utab, and no other files.
func wantTables(t *testing.T, sum *counts) {
	t.Helper()
	text, err := os.ReadFile(utab)
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for line := range strings.Lines(string(text)) {
		left++
		if !strings.HasPrefix(line, "SRC=") || !strings.HasSuffix(line, " OPTS=x-soak\n") {
			t.Errorf("in utab: %q", line)
		}
	}
	if left > sum.torn { // each unmount that was killed may leave one
		t.Errorf("%d lines in utab of %d killed unmounts", left, sum.torn)
	}
	names, err := os.ReadDir("/run/mount")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		// A temporary table is what a killed helper may leave; the next one
		// overwrites it.
		if !strings.HasPrefix(name.Name(), "utab") {
			t.Errorf("/run/mount has %s", name.Name())
		}
	}
}

// counts are the actions so far, by name.
type counts struct {
	sync.Mutex
	of   map[string]int
	torn int // killed helpers that may have been about to remove a line of a table
}

func newCounts() *counts { return &counts{of: map[string]int{}} }

func (c *counts) add(what string) {
	c.Lock()
	defer c.Unlock()
	c.of[what]++
}

func (c *counts) tear() {
	c.Lock()
	defer c.Unlock()
	c.torn++
}

func (c *counts) String() string {
	c.Lock()
	defer c.Unlock()
	sum := 0
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.of)) {
		sum += c.of[name]
		parts = append(parts, fmt.Sprintf("%d %s", c.of[name], name))
	}
	return fmt.Sprintf("%d times: %s", sum, strings.Join(parts, ", "))
}
