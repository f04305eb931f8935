package fuzzcmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

func TestMain(m *testing.M) {
	os.Exit(fusetest.Run(func() int {
		code := m.Run()
		if !slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzzworker") }) {
			printCounts()
		}
		return code
	}))
}

// need skips the test where the helper cannot be called as an ordinary user.
func need(t testing.TB) {
	t.Helper()
	fusetest.NeedRoot(t)
	fusetest.NeedDevice(t)
	helpertest.Program(t)
}

// FuzzCommand makes up to eight calls in a world of their own.
func FuzzCommand(f *testing.F) {
	need(f)
	f.Fuzz(func(t *testing.T, choices []byte) {
		alone(t)
		e := &entropy{choices}
		w := newWorld(t, e)
		for n := 0; n == 0 || (n < 8 && !e.empty()); n++ {
			c := w.newCall(e)
			w.Logf("%d: %s", n, c)
			w.judge(c, w.run(c))
			w.event(e)
		}
	})
}

// event is what happens between two calls.
func (w *world) event(e *entropy) {
	switch e.below(12) {
	case 1:
		w.kill()
	case 2:
		w.coverOne()
	}
}

// alone waits for the other workers of the fuzzing engine, which share /etc, /run and
// the mount table.
func alone(t *testing.T) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(fusetest.Stage(), "alone"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() }) // and releases the lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func countsPath() string { return filepath.Join(fusetest.Stage(), "counts") }

// count records an outcome, for all workers together.
func count(outcome string) {
	f, err := os.OpenFile(countsPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if _, err := f.WriteString(outcome + "\n"); err != nil {
		panic(err)
	}
	if err := f.Close(); err != nil {
		panic(err)
	}
}

// printCounts prints the number of calls by outcome.
func printCounts() {
	text, err := os.ReadFile(countsPath())
	if err != nil {
		return // none
	}
	counts := map[string]int{}
	total := 0
	for outcome := range strings.Lines(string(text)) {
		counts[strings.TrimSpace(outcome)]++
		total++
	}
	var parts []string
	for outcome, n := range counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
	}
	slices.Sort(parts)
	fmt.Printf("%d calls of the helper: %s\n", total, strings.Join(parts, ", "))
}

// entropy makes choices from bytes, and from zeros when these are used up. Zero is
// always the plain choice.
type entropy struct{ rest []byte }

func (e *entropy) next() int {
	if len(e.rest) == 0 {
		return 0
	}
	b := e.rest[0]
	e.rest = e.rest[1:]
	return int(b)
}

func (e *entropy) empty() bool { return len(e.rest) == 0 }

// below returns a number from 0 to n-1; n is at most 256.
func (e *entropy) below(n int) int { return e.next() % n }

// odd is true once in oneIn times.
func (e *entropy) odd(oneIn int) bool { return e.next() > 255-256/oneIn }

// text returns up to n bytes, without zeros.
func (e *entropy) text(n int) string {
	n = min(e.below(n+1), len(e.rest))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(max(e.next(), 1))
	}
	return string(b)
}

// one returns an element of the list, the first for zero.
func one[T any](e *entropy, list ...T) T { return list[e.below(len(list))] }
