package fstypes

import (
	"slices"
	"testing"
)

// No number or name is in two lists.
func TestLists(t *testing.T) {
	if len(others) > 64 {
		t.Error("Set has no bit for all of the others")
	}
	seen := map[any]bool{}
	for _, known := range slices.Concat(ordinary, others, never) {
		if seen[known.magic] || seen[known.name] {
			t.Errorf("%+v stands there twice", known)
		}
		seen[known.magic], seen[known.name] = true, true
	}
}

func TestAllowable(t *testing.T) {
	for i, o := range others {
		s, ok := Allowable(o.name)
		if !ok || s != 1<<i || Ordinary(o.magic) {
			t.Errorf("%s: %x, %v", o.name, s, ok)
		}
		for _, known := range slices.Concat(ordinary, others, never) {
			if s.Has(known.magic) != (known == o) {
				t.Errorf("%s allows %s: %v", o.name, known.name, s.Has(known.magic))
			}
		}
	}
	// No setting opens the kernel's own views, and none is needed for the ordinary.
	for _, known := range slices.Concat(ordinary, never) {
		if s, ok := Allowable(known.name); ok || Set(1<<64-1).Has(known.magic) {
			t.Errorf("%s can be allowed: %x", known.name, s)
		}
	}
	if s, ok := Allowable(""); ok || Set(1<<64-1).Has(0) {
		t.Errorf("nothing can be allowed: %x", s)
	}
}

func TestName(t *testing.T) {
	for magic, want := range map[uint64]string{0xEF53: "ext4", 0x01021997: "9p", 0x9FA0: "proc", 1: ""} {
		if got := Name(magic); got != want || Ordinary(magic) != (want == "ext4") {
			t.Errorf("Name(%#x) = %q", magic, got)
		}
	}
}
