package races

// faultMutants lose where a system call fails, or where they are killed.
var faultMutants = []mutant{
	{
		"the undo after a failure",
		[]edit{{"internal/helper/mount.go", `target, err := mounted.Target()`, `target, err := (*mount.Target)(nil), error(mtab.ErrNotListed)`}},
		"faults", "^TestFail$/^mount$", "mounted true",
	},
	{
		"the second attempt of the undo",
		[]edit{{"internal/helper/mount.go", `tries > 1 && !covered`, `!covered`}},
		"faults", "^TestFail$/^failed_send$", "mounted true",
	},
	{
		"the second attempt of the watcher",
		[]edit{{"internal/helper/mount.go", `err = f()`, `_ = f`}},
		"faults", "^TestFail$/^--auto-unmount$", "still mounted",
	},
	{
		"to keep no more than the tasks need",
		[]edit{{"internal/helper/run.go", `priv.KeepOnly(capabilities(tasks))`, `error(nil)`}},
		"faults", "^TestFail$/^mount$", "a privilege: CapPrm 00000000002000c0",
	},
	{
		"to give up what is left",
		[]edit{{"internal/helper/mount.go", `priv.GiveUp()`, `priv.KeepOnly(priv.SysAdmin)`}},
		"faults", "^TestFail$/^mount$", "a privilege: CapPrm 0000000000200000",
	},
	{
		"to insist on a drop",
		[]edit{{"internal/priv/priv.go", `const attempts = 3`, `const attempts = 1`}},
		"faults", "^TestFail$/^mount$", "a privilege: CapEff",
	},
	{
		"the ids of file access after a failure",
		[]edit{{"internal/priv/priv.go", `retry(func() error { return setFileIDs(now.EUID, now.EGID) })`, `error(nil)`}},
		"faults", "^TestFail$/^mount_with_utab$", "a privilege: Uid",
	},
	{
		"to try again after a signal",
		[]edit{{"internal/rawfile/rawfile.go", `if err := call(); !errors.Is(err, unix.EINTR) {`, `if err := call(); true {`}},
		"faults", "^TestFail$/^mount$", "not tried again after a signal",
	},
	{
		"a table under another name, then renamed",
		[]edit{{"internal/mtab/tables.go", `temporary := path + ".fusermount"`, `temporary := path`}},
		"faults", "^TestKill$/^mount_with_utab$", "no such file or directory",
	},
	{
		"to remove what a killed one left",
		[]edit{{"internal/mtab/tables.go", `if err := unix.Unlink(temporary); err != nil && !errors.Is(err, unix.ENOENT) {`, `if false {`}},
		"faults", "^TestKill$/^mount_with_utab$", "afterwards: exit 0",
	},
	{
		"to hold signals while a mount is half done",
		[]edit{{"internal/mount/mountpoint.go", `if err := signals.Hold(); err != nil {`, `if err := error(nil); err != nil {`}},
		"faults", "^TestSignal$/^mount$", "mounted true",
	},
}
