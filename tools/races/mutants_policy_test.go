package races

import "slices"

var mutants = slices.Concat(policyMutants, mountMutants, processMutants, faultMutants)

// policyMutants decide wrongly.
var policyMutants = []mutant{
	{
		"an owner whose uid begins alike",
		[]edit{{"internal/policy/policy.go", `m.HasOwner && m.Owner == c.UID`, `m.HasOwner && (m.Owner == c.UID || m.Owner/10 == c.UID)`}},
		"conformance", "^TestOurs$/^as-it-is$/^unmount$", "exit status 0, want 1",
	},
	{
		"any owner",
		[]edit{{"internal/policy/policy.go", `m.HasOwner && m.Owner == c.UID`, `m.HasOwner`}},
		"conformance", "^TestOurs$/^as-it-is$/^unmount$", "exit status 0, want 1",
	},
	{
		"any type",
		[]edit{{"internal/policy/policy.go", `case !mountopts.IsFuse(f.Top.Type):`, `case false:`}},
		"conformance", "^TestOurs$/^as-it-is$/^root$", "exit status 0, want 1",
	},
	{
		"any directory of a mount",
		[]edit{{"internal/policy/policy.go", `case !f.Mountpoint:`, `case false:`}},
		"conformance", "^TestOurs$/^as-it-is$/^unmount$", `do not match "nothing is mounted there"`,
	},
	{
		"mounts inside",
		[]edit{{"internal/policy/policy.go", `case !ownedFuse(m, f.Caller):`, `case false:`}},
		"conformance", "^TestLazyKeepsOthers$", "the mount is gone",
	},
	{
		"a mount below",
		[]edit{{"internal/policy/policy.go", `return f.Lazy || f.onOthers()`, `return f.Lazy`}},
		"conformance", "^TestUnmountTwice$/^statmount$/^1$", "the mount below is gone",
	},
	{
		"all mounts below",
		[]edit{{"internal/policy/policy.go", `slices.ContainsFunc(f.Below, func`, `slices.ContainsFunc(f.Below[:min(1, len(f.Below))], func`}},
		"races", "^TestTable$/^-u$/^alice_detaches_two_meanwhile,_on_a_mount_of_root's$", gone,
	},
	{
		"allow_other for everybody",
		[]edit{
			{"internal/policy/policy.go", `if (o.AllowOther || o.AllowRoot) && !f.Settings.UserAllowOther {`, `if false {`},
			{"internal/policy/policy.go", `o.AllowOther && (f.Caller.Root() || f.Settings.UserAllowOther)`, `o.AllowOther`},
		},
		"conformance", "^TestOurs$/^as-it-is$/^options$", "exit status 0, want 1",
	},
	{
		"suid for everybody",
		[]edit{
			{"internal/policy/policy.go", `*on = false`, `_ = on`},
			{"internal/policy/policy.go", `!o.Suid || !f.Caller.Root()`, `!o.Suid`},
		},
		"conformance", "^TestOurs$/^as-it-is$/^options$", "has nosuid",
	},
	{
		"dev for everybody",
		[]edit{
			{"internal/policy/policy.go", `*on = false`, `_ = on`},
			{"internal/policy/policy.go", `!o.Dev || !f.Caller.Root()`, `!o.Dev`},
		},
		"conformance", "^TestOurs$/^as-it-is$/^options$", "has nodev",
	},
	{
		"blkdev for everybody",
		[]edit{{"internal/policy/policy.go", `if o.BlkDev {`, `if false {`}},
		"conformance", "^TestOurs$/^as-it-is$/^options$", "option blkdev is privileged",
	},
	{
		"another owner for the mount",
		[]edit{{"internal/policy/policy.go", `UserID:      f.Caller.UID,`, `UserID:      0,`}},
		"conformance", "^TestOurs$/^as-it-is$/^options$", "has user_id=4242",
	},
	{
		"the sticky bit",
		[]edit{{"internal/policy/policy.go", `m.IsDirectory() && m.Mode&sticky != 0 && m.Owner != c.UID`, `false`}},
		"conformance", "^TestOurs$/^as-it-is$/^mountpoints$", "exit status 0, want 1",
	},
	{
		"write access",
		[]edit{{"internal/policy/policy.go", `if !m.Writable {`, `if false {`}},
		"conformance", "^TestOurs$/^as-it-is$/^mountpoints$", "exit status 0, want 1",
	},
	{
		"the list of file systems",
		[]edit{{"internal/policy/policy.go", `if fstypes.Ordinary(m.FSType) ||`, `if true || fstypes.Ordinary(m.FSType) ||`}},
		"conformance", "^TestOurs$/^as-it-is$/^mountpoints$", "exit status 0, want 1",
	},
	{
		"special files",
		[]edit{{"internal/policy/policy.go", `if !m.IsDirectory() && m.Mode&fileType != regularFile {`, `if false {`}},
		"conformance", "^TestOurs$/^as-it-is$/^mountpoints$", "is not a directory or a regular file",
	},
	{
		"mount_max",
		[]edit{{"internal/policy/policy.go", `f.Mounted >= limit {`, `false {`}},
		"conformance", "^TestMountMaxAtRest$", "exit 0, 1 descriptors",
	},
	{
		"an escape everywhere",
		[]edit{{"internal/mountopts/mountopts.go", `if e.hasValue && (e.name == "fsname" || e.name == "subtype") {`, `if e.hasValue {`}},
		"./internal/mountopts", "^TestEscapesDoNotSmuggle$", "x-a=b",
	},
	{
		"no escape at all",
		[]edit{{"internal/mountopts/mountopts.go", `if s[used] == '\\' && used+1 < len(s) {`, `if false {`}},
		"conformance", "^TestOurs$/^as-it-is$/^names$", "allow_other",
	},
}
