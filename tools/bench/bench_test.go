package main

import (
	"errors"
	"os"
	"testing"

	"github.com/go-fusermount/fusermount"
	"github.com/go-fusermount/fusermount/internal/fusetest"
)

func TestMain(m *testing.M) { os.Exit(fusetest.RunTests(m)) }

// The benchmarks are for benchstat, which compares two commits of this module:
//
//	make bench-go >old.txt; git switch ...; make bench-go >new.txt; benchstat old.txt new.txt
//
// "make bench" compares with other programs, in alternating rounds.

// BenchmarkHelper times fusermount3 until it exits, run as an ordinary user.
func BenchmarkHelper(b *testing.B) {
	fusetest.NeedRoot(b)
	h := &helper{name: "ours", path: installed(b)}
	dir := fusetest.Dir(b, user)
	b.Run("version", func(b *testing.B) {
		for b.Loop() {
			c, err := h.start("-V")
			if err == nil {
				_, err = c.wait()
				err = errors.Join(err, c.close())
			}
			check(b, err)
		}
	})
	var c *call
	alternate(b, func(b *testing.B) {
		var err error
		c, err = h.start(dir)
		check(b, err)
		_, err = c.wait()
		check(b, errors.Join(err, c.receive()))
	}, func(b *testing.B) {
		_, err := h.unmount(dir)
		check(b, err)
	}, func() error { return c.close() })
}

// BenchmarkClient times the client package: by direct system calls, and through
// fusermount3.
func BenchmarkClient(b *testing.B) {
	fusetest.NeedRoot(b)
	program, dir := installed(b), fusetest.Dir(b, 0)
	for name, options := range map[string]*fusermount.Options{
		"direct": {Subtype: "bench"}, // root may mount without the helper
		"helper": {Subtype: "bench", Helper: program, Method: fusermount.MethodHelper},
	} {
		b.Run(name, func(b *testing.B) {
			var m *fusermount.Mounted
			alternate(b, func(b *testing.B) {
				var err error
				m, err = fusermount.Mount(b.Context(), dir, options)
				check(b, err)
			}, func(b *testing.B) {
				check(b, m.Unmount(b.Context(), nil))
			}, func() error { return m.Close() })
		})
	}
}

// alternate runs the benchmarks "mount" and "unmount", each of which times one half of
// a round.
func alternate(b *testing.B, mount, unmount func(*testing.B), end func() error) {
	half := func(timed bool, b *testing.B, f func(*testing.B)) {
		if timed {
			b.StartTimer()
			defer b.StopTimer()
		}
		f(b)
	}
	for _, name := range []string{"mount", "unmount"} {
		b.Run(name, func(b *testing.B) {
			b.StopTimer()
			for range b.N {
				half(name == "mount", b, mount)
				half(name == "unmount", b, unmount)
				check(b, end())
			}
		})
	}
}

// installed returns the path of a setuid copy of the helper.
func installed(b *testing.B) string {
	b.Helper()
	path := os.Getenv("FUSERMOUNT_HELPER")
	if path == "" {
		fusetest.Skip(b, "set FUSERMOUNT_HELPER to the helper: 'make bench-go' does")
	}
	fusetest.NeedDevice(b)
	return fusetest.InstallHelper(b, path, fusetest.Setuid)
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
