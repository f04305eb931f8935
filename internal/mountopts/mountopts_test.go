package mountopts

import (
	"errors"
	"reflect"
	"testing"
)

func TestParse(t *testing.T) {
	n := func(v uint32) Number { return Number{Given: true, Value: v} }
	for list, want := range map[string]Options{
		"":                                    {},
		",,":                                  {},
		",ro,":                                {ReadOnly: true},
		"ro,rw":                               {},
		"rw,ro":                               {ReadOnly: true},
		"suid,dev":                            {Suid: true, Dev: true},
		"suid,nosuid,dev,nodev":               {},
		"noexec,sync,dirsync":                 {NoExec: true, Sync: true, DirSync: true},
		"noexec,exec,sync,async":              {},
		"noatime,nodiratime":                  {NoAtime: true, NoDirAtime: true},
		"noatime,atime":                       {},
		"norelatime,nostrictatime":            {},
		"nosymfollow":                         {NoSymfollow: true},
		"nosymfollow,symfollow":               {},
		"nonempty":                            {},
		"allow_other,allow_root":              {AllowOther: true, AllowRoot: true},
		"default_permissions,blkdev":          {DefaultPermissions: true, BlkDev: true},
		"auto_unmount":                        {AutoUnmount: true},
		"max_read=0":                          {MaxRead: n(0)},
		"max_read=131072,blksize=0512":        {MaxRead: n(131072), BlkSize: n(512)},
		"max_read=4294967295":                 {MaxRead: n(4294967295)},
		"fd=9,rootmode=x,user_id=0,group_id=": {},
		"fsname=a,fsname=b":                   {FSName: "b"},
		`fsname=a\,b\\c`:                      {FSName: `a,b\c`},
		`fsname=a\`:                           {FSName: `a\`},
		`fsname=\x\=`:                         {FSName: `x=`},
		"fsname=a b\nc\t\xff":                 {FSName: "a b\nc\t\xff"},
		`subtype=s\,allow_other,ro`:           {Subtype: "s,allow_other", ReadOnly: true},
		"fsname=sftp=host":                    {FSName: "sftp=host"},
		"x-gvfs-hide,x-a=b=c":                 {Userspace: []string{"x-gvfs-hide", "x-a=b=c"}},
		`x-a\,ro`:                             {Userspace: []string{`x-a\`}, ReadOnly: true},
		"large_read":                          {Obsolete: []string{"large_read"}},
	} {
		got, err := Parse(list)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", list, got, err, want)
		}
	}
}

// Lists add up, and none continues in the next.
func TestParseLists(t *testing.T) {
	want := Options{FSName: `a\`, Subtype: `b\`, ReadOnly: true, NoExec: true}
	if o, err := Parse(`fsname=a\`, "ro", "", `noexec,subtype=b\`, "rw,ro"); err != nil || !reflect.DeepEqual(o, want) {
		t.Errorf("%+v, %v; want %+v", o, err, want)
	}
	if o, err := Parse("ro", "foo", "rw"); err == nil {
		t.Errorf("%+v; want an unknown option", o)
	}
}

func TestParseUnknown(t *testing.T) {
	for list, option := range map[string]string{
		"foo":              "foo",
		"ro,foo,bar":       "foo",
		"ro=1":             "ro=1",
		"fsname":           "fsname",
		"fd":               "fd",
		"max_read":         "max_read",
		" ro":              " ro",
		"RO":               "RO",
		"kernel_cache":     "kernel_cache",
		`foo\,allow_other`: `foo\`,
		`\fsname=a`:        `\fsname=a`,
		"relatime":         "relatime",
		"X-mount.mkdir":    "X-mount.mkdir",
		"=":                "=",
	} {
		_, err := Parse(list)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || unknown.Option != option {
			t.Errorf("Parse(%q): %v; want unknown option %q", list, err, option)
		}
	}
}

func TestParseBadValue(t *testing.T) {
	for _, list := range []string{
		"fsname=", "subtype=", "fsname=,ro", "max_read=", "max_read=-1", "max_read=+1",
		"max_read=1x", "max_read=0x10", "max_read=4294967296", "max_read= 1",
		"blksize=99999999999999999999999999", `max_read=1\,ro`,
	} {
		_, err := Parse(list)
		var bad *ValueError
		if !errors.As(err, &bad) {
			t.Errorf("Parse(%q): %v; want a ValueError", list, err)
		}
	}
}

// An escape never makes an option of a part of a value, nor hides one.
func TestEscapesDoNotSmuggle(t *testing.T) {
	for _, list := range []string{
		`fsname=a\,allow_other`, `fsname=a\\\,allow_other`, `subtype=\,allow_other`,
		`fsname=\,allow_other\,`, `fsname="a\,allow_other"`,
	} {
		if o, err := Parse(list); err != nil || o.AllowOther {
			t.Errorf("Parse(%q) = %+v, %v; want no allow_other", list, o, err)
		}
	}
	for _, list := range []string{`fsname=a\\,allow_other`, `x-a\,allow_other`, `x-a=b\,allow_other`, `fsname='a,allow_other`} {
		if o, err := Parse(list); err != nil || !o.AllowOther {
			t.Errorf("Parse(%q) = %+v, %v; want allow_other seen", list, o, err)
		}
	}
}
