package service

import (
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/wire"
)

// A worker gets the terms as they were given.
func TestTerms(t *testing.T) {
	for _, terms := range []*Terms{
		{Volume: -1},
		{AllowOther: AllowOtherAlways, MountMax: 1 << 20, Types: []string{"sshfs", "rclone"}, Volume: 7},
	} {
		var fds []int
		if terms.Volume >= 0 {
			fds = []int{terms.Volume}
		}
		if err := terms.check(); err != nil {
			t.Error(err)
		}
		got, err := decodeTerms(terms.encode(), fds)
		if err != nil || !reflect.DeepEqual(got, terms) {
			t.Errorf("%+v, %v; want %+v", got, err, terms)
		}
	}
}

func TestTermsRefused(t *testing.T) {
	for _, terms := range []*Terms{
		{MountMax: -1},
		{MountMax: 1<<30 + 1},
		{Types: []string{""}},
		{Types: []string{"a,b"}},
		{Types: []string{strings.Repeat("x", maxTerms)}},
	} {
		if terms.check() == nil {
			t.Errorf("%+v: no error", terms)
		}
	}
	whole := (&Terms{Volume: 3}).encode()
	for _, c := range []struct {
		message []byte
		fds     []int
	}{{nil, nil}, {whole[:3], []int{3}}, {whole, nil}, {whole, []int{3, 4}}} {
		if _, err := decodeTerms(c.message, c.fds); err == nil {
			t.Errorf("%v, %v: no error", c.message, c.fds)
		}
	}
}

func TestTermsSettings(t *testing.T) {
	for _, c := range []struct {
		other   AllowOther
		foreign bool
		want    bool
	}{
		{AllowOtherNever, true, false},
		{AllowOtherInUserNamespace, false, false},
		{AllowOtherInUserNamespace, true, true},
		{AllowOtherAlways, false, true},
	} {
		if got := (&Terms{AllowOther: c.other}).settings(c.foreign).UserAllowOther; got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// What a client calls its mountpoint, type and error comes through, whatever is in it.
func TestOutcome(t *testing.T) {
	want := Outcome{Op: wire.Mount, UID: 1000, Mountpoint: "/a\nb", Type: "sshfs", Errno: unix.EPERM, Text: "no\x00and no"}
	message := want.encode()
	if got := parseOutcome(uint32(want.Errno), message[5:]); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := parseOutcome(1, nil); got.Errno != 1 {
		t.Errorf("%+v", got)
	}
}
