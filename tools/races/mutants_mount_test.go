package races

// gone is what a trial says when somebody else's mount was taken.
const gone = "a mount of somebody else is gone"

// mountMutants act on something else than what was judged.
var mountMutants = []mutant{
	{
		"the mount id before -u acts",
		[]edit{{"internal/mount/detach.go", `if !t.IsRoot || !mtab.Same(now, e) {`, `if false {`}},
		"races", "^TestNames$/^-u$/^last_for_root's_tmpfs$", gone,
	},
	{
		"whether the mountpoint lies in our namespace",
		[]edit{{"internal/mtab/mtab.go", `return false, ErrOutside`, `return true, nil`}},
		"conformance", "^TestLooseTree$/^statmount_fsopen_m$", "lies on m",
	},
	{
		"the undo of a mount that does not show",
		[]edit{{"internal/mount/attach.go", `failed := detachTop(m.fd)`, `failed := error(nil)`}},
		"conformance", "^TestOutsideOfChroot$", "mounts before",
	},
	{
		"-u through a symlink",
		[]edit{{"internal/mount/privileged.go", `unix.UMOUNT_NOFOLLOW|flags`, `flags`}},
		"races", "^TestNames$/^-u$/^last_for_link_to_root's_tmpfs$", gone,
	},
	{
		"-u -z by the name",
		[]edit{{"internal/mount/detach.go", `return detachTop(t.fd)`, `return unix.ENOENT`}},
		"races", "^TestNames$/^-u_-z$/^last_for_bob's_fuse$", gone,
	},
	{
		"the undo by the name",
		[]edit{{"internal/mount/detach.go", `return detachTop(t.fd)`, `return unix.ENOENT`}},
		"races", "^TestTable$/^failed_send$/^alice_detaches_and_root_mounts_there$", gone,
	},
	{
		"the watcher by the name",
		[]edit{{"internal/mount/detach.go", `return detachTop(t.fd)`, `return unix.ENOENT`}},
		"races", "^TestNames$/^auto_unmount$/^last_for_root's_tmpfs$", gone,
	},
	{
		"the undo by the place",
		[]edit{{
			"internal/mount/attach.go",
			"m, err := findNew(t, d.FD, at)\n	if err != nil {\n		return nil, err",
			"m, err := findNew(t, d.FD, at)\n	if err != nil {\n		return nil, errors.Join(err, detachTop(at.fd))",
		}},
		"conformance", "^TestUnmountedBeforeFound$", "the mount below is gone",
	},
	{
		"the undo by the place, with root's mount there",
		[]edit{{
			"internal/mount/attach.go",
			"m, err := findNew(t, d.FD, at)\n	if err != nil {\n		return nil, err",
			"m, err := findNew(t, d.FD, at)\n	if err != nil {\n		return nil, errors.Join(err, detachTop(at.fd))",
		}},
		"races", "^TestTable$/^mount_by_mount\\(2\\)$/^root_mounts_there_meanwhile$", gone,
	},
	{
		"whose mount is found after mount(2)",
		[]edit{{
			"internal/mount/attach.go",
			`		if err == nil && isRoot && mountopts.IsFuse(e.Type) && owner == t.UserID &&`,
			`		if err == nil || false && isRoot && mountopts.IsFuse(e.Type) && owner == t.UserID &&`,
		}},
		"races", "^TestNames$/^failed_send,_mount\\(2\\)$/^last_for_bob's_fuse$", "exit 1, 0 descriptors, and 1 mounts came",
	},
	{
		"whose mount is found of many",
		[]edit{{"internal/mount/attach.go", `(!known || e.Connection() == number)`, `(!known || number > 0)`}},
		"conformance", "^TestConcurrentMounts$/^mount\\(2\\),_at_the_call$", "mounts are there",
	},
	{
		"what lies on a mount that is taken back",
		[]edit{{"internal/mount/detach.go", `err == nil && covered {`, `err == nil && covered && false {`}},
		"conformance", "^TestTakenBackBelow$", "on top is",
	},
	{
		"that what lay on a mount went while it was taken back",
		[]edit{{"internal/helper/mount.go", ` || errors.Is(err, unix.EINVAL)`, ``}},
		"conformance", "^TestTakenBackThoughTheTopWent$", "Invalid argument",
	},
	{
		"on what the mount lies",
		[]edit{{"internal/mount/attach.go", `if !direct {`, `if false && !direct {`}},
		"conformance", "^TestSyncInitTakenBackFirst$", "status 0, want -16",
	},
	{
		"a mount that should not be, before the caller hears of it",
		[]edit{{"internal/helper/mount.go", "		err = takeBack(r, err, mounted)\n", "		defer func() { _ = takeBack(r, err, mounted) }()\n"}},
		"conformance", "^TestSyncInitTakenBackFirst$", "taken back as call",
	},
	{
		"the second judgement",
		[]edit{{"internal/mount/mountpoint.go", `if err := last(); err != nil {`, `if err := error(nil); err != nil {`}},
		"conformance", "^TestJudgedBeforeAttaching$/^fsopen$/^mount_max_reached$", "exit 0",
	},
	{
		"what lies on the mountpoint by now",
		[]edit{{"internal/mount/mountpoint.go", `if at.isAt(at.place.parent, at.place.name) {`, `if true || at.isAt(at.place.parent, at.place.name) {`}},
		"conformance", "^TestJudgedBeforeAttaching$/^mount2$/^something_mounted_there$", "if only for a moment",
	},
	{
		"the pinned mountpoint, new API",
		[]edit{{
			"internal/mount/attach.go", `return moveMount(fd, at.fd)`,
			`again, _ := pathfd.Open(unix.AT_FDCWD, at.Facts.Path, 0); return moveMount(fd, again)`,
		}},
		"races", "^TestNames$/^mount$/^parent_for_root's_directory$", "mounted over what belongs to uid 0",
	},
	{
		"the pinned mountpoint, sync-init",
		[]edit{{
			"internal/mount/attach.go", `return moveMount(fd, at.fd)`,
			`again, _ := pathfd.Open(unix.AT_FDCWD, at.Facts.Path, 0); return moveMount(fd, again)`,
		}},
		"races", "^TestNames$/^sync-init$/^middle_for_link_to_root's_directory$", "mounted over what belongs to uid 0",
	},
	{
		"the pinned mountpoint, mount(2)",
		[]edit{{"internal/mount/attach.go", `target = "."`, `target = at.Facts.Path`}},
		"races", "^TestNames$/^mount_by_mount\\(2\\)$/^middle_for_root's_directory$", "mounted over what belongs to uid 0",
	},
	{
		"a symlink as mountpoint",
		[]edit{{"internal/mount/mountpoint.go", "fd, err := pathfd.Open(p.parent, p.name, unix.O_NOFOLLOW)", "fd, err := pathfd.Open(p.parent, p.name, 0)"}},
		"conformance", "^TestOurs$/^as-it-is$/^mountpoints$", "exit status 0, want 1",
	},
	{
		"nosuid forgotten",
		[]edit{{"internal/fsparam/fsparam.go", `attribute: unix.MOUNT_ATTR_NOSUID,`, ``}},
		"conformance", "^TestOurs$/^as-it-is$/^options$", "the kernel did not keep nosuid and nodev",
	},
	{
		"nosuid forgotten, and not read back",
		[]edit{
			{"internal/fsparam/fsparam.go", `attribute: unix.MOUNT_ATTR_NOSUID,`, ``},
			{"internal/mount/attach.go", `if (t.NoSuid && !e.NoSuid) || (t.NoDev && !e.NoDev) {`, `if false {`},
		},
		"conformance", "^TestOurs$/^as-it-is$/^options$", "has nosuid",
	},
	{
		"the topmost mount",
		[]edit{{
			"internal/mount/detach.go", "if t.Entry, t.IsRoot, err = mtab.ByFD(fd); err != nil {\n		return nil, errors.Join(err, unix.Close(fd))\n	}",
			"if t.Entry, t.IsRoot, err = mtab.ByFD(fd); err != nil {\n		return nil, errors.Join(err, unix.Close(fd))\n	}\n" +
				"	if below, err := mtab.ByOldID(t.Entry.Parent); err == nil && mtab.Same(below, below) && below.Type == \"fuse\" {\n		t.Entry = below\n	}",
		}},
		"conformance", "^TestOurs$/^mountinfo$/^unmount$", "exit status 0, want 1",
	},
	{
		"a device in use",
		[]edit{{"internal/mount/syncinit.go", `const fsconfigCreateNew = 8`, `const fsconfigCreateNew = 6`}},
		"conformance", "^TestSyncInitRefusedLater$/^device_used_elsewhere$", "status 0, want -16",
	},
}
