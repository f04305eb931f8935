package mountopts

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The reference below parses a list by the documentation, in another way than Parse.
// Fuzzing compares the two: an escape that hides or makes an option is a difference
// (CVE-2018-10906).

// oneElement matches an element and the comma behind it. In fsname= and
// subtype= a backslash takes the next character along; anywhere else it is an
// ordinary one.
var oneElement = regexp.MustCompile(`^(?s:((?:fsname|subtype)=(?:\\.|[^,])*)|([^,]*))(?:,|$)`)

func elements(list string) (all []string) {
	for list != "" {
		m := oneElement.FindStringSubmatch(list)
		if e := m[1] + m[2]; e != "" {
			all = append(all, e)
		}
		list = list[len(m[0]):]
	}
	return all
}

var (
	anEscape = regexp.MustCompile(`(?s)\\(.)`)
	known    = regexp.MustCompile(`(?s)^(x-.*|r[ow]|(no)?(suid|dev|exec|atime|symfollow)|a?sync|dirsync|` +
		`no(diratime|relatime|strictatime|nempty)|blkdev|allow_(other|root)|default_permissions|auto_unmount|large_read|` +
		`(fsname|subtype)=.+|(max_read|blksize)=[0-9]+|(fd|rootmode|user_id|group_id)=.*)$`)
)

// reference parses a list; ok is false where it has to be refused.
func reference(list string) (o Options, ok bool) {
	all := elements(list)
	on := func(name string, opposites ...string) bool {
		for _, e := range slices.Backward(all) {
			if e == name || slices.Contains(opposites, e) {
				return e == name
			}
		}
		return false
	}
	value := func(name string) (text string, given bool) {
		for _, e := range all {
			if v, found := strings.CutPrefix(e, name+"="); found {
				text, given = v, true
			}
		}
		return text, given
	}
	ok = true
	number := func(name string) Number {
		text, given := value(name)
		n, err := strconv.ParseUint(text, 10, 32)
		if ok = ok && (!given || err == nil); !given || err != nil {
			return Number{}
		}
		return Number{Given: true, Value: uint32(n)}
	}
	text := func(name string) string {
		text, _ := value(name)
		return anEscape.ReplaceAllString(text, "$1")
	}
	o = Options{
		ReadOnly: on("ro", "rw"), Suid: on("suid", "nosuid"), Dev: on("dev", "nodev"), NoExec: on("noexec", "exec"),
		Sync: on("sync", "async"), DirSync: on("dirsync"), NoAtime: on("noatime", "atime"), NoDirAtime: on("nodiratime"),
		NoSymfollow: on("nosymfollow", "symfollow"), FSName: text("fsname"), Subtype: text("subtype"),
		BlkDev: on("blkdev"), AllowOther: on("allow_other"), AllowRoot: on("allow_root"),
		DefaultPermissions: on("default_permissions"), AutoUnmount: on("auto_unmount"),
		MaxRead: number("max_read"), BlkSize: number("blksize"),
	}
	for _, e := range all {
		ok = ok && known.MatchString(e) && !tooBig(e)
		if strings.HasPrefix(e, "x-") {
			o.Userspace = append(o.Userspace, e)
		} else if e == "large_read" {
			o.Obsolete = append(o.Obsolete, e)
		}
	}
	return o, ok
}

// tooBig says of a number that the last one of its name hides whether it fits.
func tooBig(e string) bool {
	name, value, _ := strings.Cut(e, "=")
	_, err := strconv.ParseUint(value, 10, 32)
	return (name == "max_read" || name == "blksize") && err != nil
}

// FuzzParse compares Parse with the reference. The error of a refused list names one of its
// elements, and is not much longer than the list.
func FuzzParse(f *testing.F) {
	f.Add("ro,fsname=a\\,b,subtype=x,max_read=1,x-y=z")
	f.Fuzz(func(t *testing.T, list string) {
		want, ok := reference(list)
		o, err := Parse(list)
		if (err == nil) != ok || (ok && !reflect.DeepEqual(o, want)) {
			t.Fatalf("Parse(%q) = %#v, %v; the reference says %#v, %v", list, o, err, want, ok)
		}
		if err != nil {
			wantNamed(t, list, err)
		}
	})
}

func wantNamed(t *testing.T, list string, err error) {
	t.Helper()
	var unknown *UnknownError
	var value *ValueError
	var option string
	switch {
	case errors.As(err, &unknown):
		option = unknown.Option
	case errors.As(err, &value):
		option = value.Option
	default:
		t.Fatalf("Parse(%q): %v", list, err)
	}
	if !slices.Contains(elements(list), option) || len(err.Error()) > len(list)+100 {
		t.Fatalf("Parse(%q) blames %q", list, option)
	}
}
