package races

// processMutants keep too much, or believe too much.
var processMutants = []mutant{
	{
		"to become the caller",
		[]edit{
			{"internal/entry/sysnum.go", `sysSetresuid = unix.SYS_SETRESUID`, `sysSetresuid = unix.SYS_GETUID`},
			{"internal/priv/become.go", `case !s.real():`, `case false:`},
		},
		"conformance", "^TestOurs$/^as-it-is$/^mountpoints$", "cannot become the caller",
	},
	{
		"no_new_privs",
		[]edit{
			{"internal/entry/asm.go", `prSetNoNewPrivs = unix.PR_SET_NO_NEW_PRIVS`, `prSetNoNewPrivs = unix.PR_SET_KEEPCAPS`},
			{"internal/priv/become.go", `[]flag{noNewPrivs, notDumpable}`, `[]flag{notDumpable}`},
		},
		"conformance", "^TestWatchHolds$", "NoNewPrivs",
	},
	{
		"the rights of the other threads",
		[]edit{{"internal/priv/become.go", `case permitted&^left != 0:`, `case permitted == left+1:`}},
		"conformance", "^TestWatchHolds$", "another thread",
	},
	{
		"to drop after a bracket",
		[]edit{{"internal/priv/priv.go", `retry(func() error { return setCaps(callerCaps, permitted) })`, `retry(func() error { return nil })`}},
		"./internal/priv", "^TestScenarios$", "after With: CapEff is",
	},
	{
		"what the watcher keeps",
		[]edit{{"internal/helper/unmount.go", `priv.Shed(capabilities(tasks) | priv.DACReadSearch)`, `priv.KeepOnly(capabilities(tasks))`}},
		"conformance", "^TestWatchRoot$", "CapPrm",
	},
	{
		"the filter",
		[]edit{{"internal/seccomp/seccomp.go", `if !supported {`, `if true || !supported {`}},
		"conformance", "^TestConfinedWhileWaiting$", "Seccomp",
	},
	{
		"limits of the caller's",
		[]edit{{"internal/priv/become.go", `if err := resetLimits(); err != nil {`, `if err := error(nil); err != nil {`}},
		"conformance", "^TestLimits$/^umask_0777$", "mode 100000",
	},
	{
		"AT_SECURE",
		[]edit{{"internal/helper/environment.go", "if secure.Execution() {\n		return fusedev.Path", "if false && secure.Execution() {\n		return fusedev.Path"}},
		"conformance", "^TestDeviceFromEnvironment$", "mount failed: Invalid argument",
	},
	{
		"any socket",
		[]edit{
			{"internal/fdpass/fdpass.go", `if domain != unix.AF_UNIX {`, `if domain == -1 {`},
			{"internal/fdpass/fdpass.go", `if _, err := unix.Getpeername(fd); err != nil {`, `if false {`},
		},
		"conformance", "^TestCommIsNoUnixSocket$", "can't send fuse fd",
	},
	{
		"to take back what was not sent",
		[]edit{{
			"internal/helper/mount.go", "err = send()\n	}\n	if err != nil {\n		return takeBack(r, err, mounted)",
			"err = send()\n	}\n	if err != nil {\n		return err",
		}},
		"conformance", "^TestSendFails$", "still mounted",
	},
	{
		"to judge again in sync-init",
		[]edit{{"internal/helper/mount.go", `begin, wait, reauthorize(r, at, device))`, `begin, wait, func() error { return nil })`}},
		"conformance", "^TestSyncInitJudgedAfterInit$", "status 0, want -1",
	},
	{
		"a fuse.conf that others can write",
		[]edit{{"internal/fuseconf/fuseconf.go", `case mode&0o022 != 0:`, `case false:`}},
		"conformance", "^TestOurs$/^as-it-is$/^conf$", "exit status 0, want 1",
	},
	{
		"a fuse.conf of somebody else's",
		[]edit{{"internal/fuseconf/fuseconf.go", `case owner != 0 && !unmapped:`, `case false:`}},
		"conformance", "^TestOurs$/^as-it-is$/^conf$", "exit status 0, want 1",
	},
	{
		"a look at who uses what is detached",
		[]edit{{"internal/helper/unmount.go", `detaches && !lazy {`, `detaches && lazy {`}},
		"conformance", "^TestBusyOnVolume$", "exit 0",
	},
	{
		"the namespace's map for the owner of fuse.conf",
		[]edit{{"internal/fuseconf/fuseconf.go", `return uidMap != ""`, `return true`}},
		"./internal/fuseconf", "^TestUnmapped$", "Unmapped",
	},
	{
		"a daemon that lives",
		[]edit{{"internal/helper/unmount.go", `case err == nil && !target.Dead():`, `case false:`}},
		"conformance", "^TestWatchDaemonLives$", "the mount is gone",
	},
	{
		"a dead mount on top",
		[]edit{{"internal/mount/detach.go", `if !t.IsRoot || !mtab.Same(now, e) {`, `if false {`}},
		"conformance", "^TestWatchDeadOnTop$", "want both",
	},
	{
		"signals to the watcher",
		[]edit{{"internal/signals/signals.go", "err := setHandler(sig, ignore)\n", "err := setHandler(sig, byDefault)\n"}},
		"conformance", "^TestWatchIgnores$", "SigIgn is",
	},
	{
		"the default action of signals",
		[]edit{{"internal/helper/run.go", `signals.Default()`, `error(nil)`}},
		"conformance", "^TestSignalEndsSyncInit$/^process_quit$", "SIGQUIT: quit",
	},
	{
		"the log",
		[]edit{{"internal/helper/report.go", "func (r *run) log(text string) {\n", "func (r *run) log(text string) {\n	return\n"}},
		"conformance", "^TestLog$", "i/o timeout",
	},
	{
		"escapes in the log",
		[]edit{{"internal/helper/report.go", `strings.ToValidUTF8(printable.Text(text), "?")`, `strings.ToValidUTF8(printable.Text("")+text, "?")`}},
		"conformance", "^TestLog$", "logged",
	},
	{
		"a bound for the log",
		[]edit{{"internal/helper/report.go", `if len(text) <= maxField {`, `if len(text) >= 0 {`}},
		"conformance", "^TestLog$", "i/o timeout",
	},
	{
		"escapes in messages",
		[]edit{{"internal/helper/report.go", `return &reporter{program: printable.Text(argv[0])}`, `return &reporter{program: argv[0]}`}},
		"conformance", "^TestProgramName$", "want",
	},
	{
		"escapes in tables",
		[]edit{{"internal/mtab/tables.go", `return escaper.Replace(s)`, `return s`}},
		"conformance", "^TestOurs$/^as-it-is$/^tables$", "SRC=s t TARGET=",
	},
}
