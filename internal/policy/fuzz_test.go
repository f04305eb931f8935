package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fsparam"
	"github.com/go-fusermount/fusermount/internal/fstypes"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mountopts"
)

// views are the kernel's own file systems: only root may mount there.
var views = []uint64{0x9FA0, 0x62656572, 0x27E0EB, 0x63677270, 0x1CD1, 0x64626720, 0x74726163, 0x6E736673}

// fuzzed are facts of all kinds. Small numbers choose among what matters, so that most
// facts are close to a permission.
func fuzzed(uid, gid, mode, owner uint32, writable, allowOther, fuseBlk bool, limit, mounted int, magic uint64) MountFacts {
	f := good()
	f.Caller = Caller{UID: uid, GID: gid}
	f.Settings = fuseconf.Settings{UserAllowOther: allowOther, MountMax: limit, MountOver: fstypes.Set(magic)}
	f.Mounted = mounted
	f.FuseBlk = fuseBlk
	m := &f.Mountpoint
	m.Mode, m.Owner, m.Writable = mode, owner, writable
	m.FSType = magic
	if magic < 100 { // index
		m.FSType = slices.Concat([]uint64{0xEF53, 0x1021994}, views)[magic%uint64(2+len(views))]
	}
	return f
}

// FuzzMount checks what must hold for all options and facts.
func FuzzMount(f *testing.F) {
	f.Add("ro,allow_other,suid,dev,fsname=x\\,allow_other", uint32(1000), uint32(100), uint32(0o40755), uint32(1000), true, false, false, 10, 0, uint64(0))
	f.Fuzz(func(t *testing.T, options string, uid, gid, mode, owner uint32, writable, allowOther, fuseBlk bool, limit, mounted int, magic uint64) {
		facts := fuzzed(uid, gid, mode, owner, writable, allowOther, fuseBlk, limit, mounted, magic)
		plan, notices, err := Mount(facts, options)
		terms, granted := plan.Params()
		if granted != (err == nil) || len(notices) > 2+strings.Count(options, "large_read") {
			t.Fatalf("granted %v, %v, %q", granted, err, notices)
		}
		if !granted {
			if !reflect.DeepEqual(plan, Plan{}) || len(err.Error()) > 200+len(options)+len(facts.Mountpoint.Path) {
				t.Fatalf("refused with %+v, %v", plan, err)
			}
			return
		}
		wantOwnNumbers(t, facts, terms)
		wantTyped(t, facts, options, plan)
		if uid != 0 {
			wantHarmless(t, facts, terms)
		}
		if !facts.Mountpoint.IsDirectory() && facts.Mountpoint.Mode&fileType != regularFile || (terms.BlockDevice && !fuseBlk) {
			t.Fatalf("over %o: %+v", mode, terms)
		}
	})
}

// wantOwnNumbers checks that ids and mode are the caller's and the mountpoint's, whatever
// the options say.
func wantOwnNumbers(t *testing.T, f MountFacts, terms fsparam.Params) {
	t.Helper()
	if terms.UserID != f.Caller.UID || terms.GroupID != f.Caller.GID || terms.RootMode != f.Mountpoint.Mode&0o170000 {
		t.Fatalf("foreign numbers: %+v of %+v", terms, f)
	}
}

// wantHarmless checks what every user's mount must have.
func wantHarmless(t *testing.T, f MountFacts, terms fsparam.Params) {
	t.Helper()
	m := f.Mountpoint
	switch {
	case !terms.NoSuid, !terms.NoDev, terms.BlockDevice:
		t.Fatalf("terms of root for uid %d: %+v", f.Caller.UID, terms)
	case terms.AllowOther && !f.Settings.UserAllowOther:
		t.Fatalf("allow_other: %+v", terms)
	case !m.Writable, m.IsDirectory() && m.Mode&sticky != 0 && m.Owner != f.Caller.UID, slices.Contains(views, m.FSType):
		t.Fatalf("mounted over %+v", m)
	case f.Settings.MountMax != fuseconf.NoLimit && f.Mounted >= f.Settings.MountMax:
		t.Fatalf("%d mounted of %d", f.Mounted, f.Settings.MountMax)
	}
}

// wantTyped checks that every text in the plan is a typed value: the kernel never gets an
// unparsed part of the option list.
func wantTyped(t *testing.T, f MountFacts, options string, plan Plan) {
	t.Helper()
	o, err := mountopts.Parse(options)
	if err != nil {
		t.Fatalf("granted %q: %v", options, err)
	}
	terms, _ := plan.Params()
	source := o.FSName
	if source == "" {
		source = o.Subtype
	}
	if source == "" {
		source = f.Device
	}
	want := map[string]string{"Subtype": o.Subtype, "Source": source}
	values := reflect.ValueOf(terms)
	for i := range values.NumField() {
		field, value := values.Type().Field(i), values.Field(i)
		switch value.Kind() {
		case reflect.String:
			if text, ok := want[field.Name]; !ok || text != value.String() {
				t.Fatalf("%q: %s is %q", options, field.Name, value)
			}
		case reflect.Bool, reflect.Uint32, reflect.Struct:
		default:
			t.Fatalf("%s is a %s: say here what may stand in it", field.Name, value.Kind())
		}
	}
	if terms.AllowOther != o.AllowOther || o.AllowRoot {
		t.Fatalf("%q: what is not given has to be refused: %+v", options, terms)
	}
	if terms.MaxRead != o.MaxRead || terms.BlkSize != o.BlkSize || terms.ReadOnly != o.ReadOnly || terms.NoExec != o.NoExec ||
		!slices.Equal(plan.Userspace, o.Userspace) || plan.AutoUnmount != o.AutoUnmount {
		t.Fatalf("%q: %+v", options, plan)
	}
}

// FuzzUnmount checks that callers unmount only their own FUSE mounts.
func FuzzUnmount(f *testing.F) {
	f.Add(uint32(1000), true, false, "fuse.sshfs", uint32(1000), true, "fuse", uint32(1000), true)
	f.Fuzz(func(t *testing.T, uid uint32, isRoot, lazy bool, topType string, topOwner uint32, topOwned bool, inType string, inOwner uint32, inOwned bool) {
		own := func(kind string, owner uint32, owned bool) bool {
			fuse := kind == "fuse" || kind == "fuseblk" || strings.HasPrefix(kind, "fuse.") || strings.HasPrefix(kind, "fuseblk.")
			return fuse && (uid == 0 || (owned && owner == uid))
		}
		facts := UnmountFacts{
			Caller: Caller{UID: uid}, Path: "/p", Lazy: lazy, Mountpoint: isRoot,
			Top:    Mounted{ID: 7, Type: topType, Owner: topOwner, HasOwner: topOwned},
			Inside: []Mounted{{ID: 8, Type: inType, Owner: inOwner, HasOwner: inOwned}},
		}
		may := isRoot && own(topType, topOwner, topOwned) && (!lazy || uid == 0 || own(inType, inOwner, inOwned))
		plan, err := Unmount(facts)
		id, isLazy, granted := plan.Terms()
		if granted != may || granted != (err == nil) || (granted && (id != 7 || isLazy != lazy)) {
			t.Fatalf("%+v: plan for %d, lazy %v, granted %v, %v; want %v", facts, id, isLazy, granted, err, may)
		}
	})
}
