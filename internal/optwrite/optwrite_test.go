package optwrite

import (
	"reflect"
	"testing"

	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// FuzzList checks that options are read back as they were written.
func FuzzList(f *testing.F) {
	f.Add("ro,fsname=a\\,b,subtype=x,max_read=1,x-y=z")
	f.Fuzz(func(t *testing.T, list string) {
		o, err := mountopts.Parse(list)
		if err != nil {
			return
		}
		again, err := mountopts.Parse(List(o))
		if err != nil || !reflect.DeepEqual(again, o) || List(again) != List(o) {
			t.Fatalf("Parse(%q) = %+v; written %q, read back %+v, %v", list, o, List(o), again, err)
		}
	})
}

// FuzzEscape checks that a value is read back, whatever surrounds it: it neither makes an
// option nor hides one.
func FuzzEscape(f *testing.F) {
	f.Add(`a\,allow_other,`)
	f.Fuzz(func(t *testing.T, value string) {
		if value == "" {
			return
		}
		want := mountopts.Options{ReadOnly: true, FSName: value, Subtype: value, NoExec: true}
		list := "ro," + Pair("fsname", value) + "," + Pair("subtype", value) + ",noexec"
		if o, err := mountopts.Parse(list); err != nil || !reflect.DeepEqual(o, want) {
			t.Fatalf("Parse(%q) = %+v, %v; want %+v", list, o, err, want)
		}
	})
}
