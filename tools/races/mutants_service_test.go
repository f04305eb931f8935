package races

// The mount service without one of its checks.
func init() {
	const worker, proof, supervisor = "internal/service/worker.go", "internal/service/proof.go", "internal/service/supervisor.go"
	mutants = append(mutants, []mutant{
		{
			"the client's mount namespace",
			[]edit{{worker, "	if err := w.table.Enter(); err != nil {", "	if err := error(nil); err != nil {"}},
			"conformance", "^TestServiceNamespaces$/^mount_namespace$", "want {Exit:0",
		},
		{
			"a setting by which workers can be traced",
			[]edit{{worker, "	if err := untraceable(); err != nil {", "	if err := error(nil); err != nil {"}},
			"conformance", "^TestServiceTraceable$", "exit 0, 1 descriptors",
		},
		{
			"the owner of the mount namespace",
			[]edit{{worker, "w.owner, err = w.table.Owner()", "w.owner, err = w.client.User()"}},
			"conformance", "^TestServiceNamespaces$/^another_user_namespace$", "want {Exit:0",
		},
		{
			"its own root directory",
			[]edit{
				{"internal/peer/peer.go", `func() error { return unix.Chroot(".") }`, "func() error { return nil }"},
				{"internal/peer/peer.go", `func() error { return unix.Fchdir(root) }`, "func() error { return nil }"},
			},
			"conformance", "^TestServiceOwnConf$", "20000: {Exit:0",
		},
		{
			"the number in the user namespace",
			[]edit{{worker, "Owner: w.inside.uid,", "Owner: w.client.UID,"}},
			"conformance", "^TestServiceNamespaces$/^user_namespace$", "Unmount:1",
		},
		{
			"the proof in a directory",
			[]edit{{proof, "	if errors.Is(err, unix.ENOENT) {\n		return refusal", "	if errors.Is(err, unix.ENOENT) {\n		return nil"}},
			"conformance", "^TestServiceLandlock$", "Exit:0",
		},
		{
			"the proof for a file",
			[]edit{{proof, "	if len(fds) < 3 {\n		return refusal", "	if len(fds) < 3 {\n		return nil"}},
			"conformance", "^TestServiceStrangers$", "no file: ",
		},
		{
			"whether a file can be written to",
			[]edit{{proof, "flags&unix.O_ACCMODE == unix.O_RDONLY", "false"}},
			"conformance", "^TestServiceStrangers$", "a file to read: ",
		},
		{
			"a descriptor with O_PATH",
			[]edit{{proof, "flags&unix.O_PATH != 0 || flags&unix.O_ACCMODE == unix.O_RDONLY", "flags&unix.O_PATH == 0 && flags&unix.O_ACCMODE == unix.O_RDONLY"}},
			"conformance", "^TestServiceStrangers$", "a path: ",
		},
		{
			"which file it is",
			[]edit{{proof, "file.Ino != there.Ino", "false"}},
			"conformance", "^TestServiceStrangers$", "another file: ",
		},
		{
			"a name that is none",
			[]edit{{"internal/wire/wire.go", `r.Name == "" || r.Name == "." || r.Name == ".." || strings.Contains(r.Name, "/")`, `r.Name == "" || strings.Contains(r.Name, "\x00")`}},
			"conformance", "^TestServiceStrangers$", "the directory itself: ",
		},
		{
			"the time of a child",
			[]edit{{worker, "childLimit = 5 * time.Second", "childLimit = 12 * time.Second"}},
			"faults", "^TestServiceChildFaults$", "SIGSTOP at ",
		},
		{
			"what keeps a mount busy",
			[]edit{{"internal/helper/guest.go", "		g.letGo()\n", "		_ = g.letGo\n"}},
			"conformance", "^TestServiceLetsGo$", "with the answer it has open: ",
		},
		{
			"the client's ids",
			[]edit{{"internal/service/become.go", `uintptr(uid), uintptr(uid), uintptr(uid)},`, `nobody, nobody, nobody},`}},
			"conformance", "^TestServiceStrangers$", "cannot become the client",
		},
		{
			"the client's groups",
			[]edit{{worker, "become(w.client.UID, w.client.GID, w.client.Groups)", "become(w.client.UID, w.client.GID, nil)"}},
			"conformance", "^TestServiceGroups$", "exit 1",
		},
		{
			"root as a client",
			[]edit{{"internal/policy/policy.go", "return c.UID == 0 && !c.Guest", "return c.UID == 0"}},
			"conformance", "^TestServiceRoot$", "exit 0",
		},
		{
			"requests of one user",
			[]edit{{supervisor, "return s.busy[a] < s.limits.PerUser", "return s.busy[a] >= 0"}},
			"conformance", "^TestServiceSilent$", "bob has waited",
		},
		{
			"the time for a request",
			[]edit{{worker, "requestLimit = 5 * time.Second", "requestLimit = 500 * time.Second"}},
			"conformance", "^TestServiceSilent$", "malformed message",
		},
		{
			"watchers of one user",
			[]edit{{supervisor, "s.watchers[w.account] < s.limits.Watchers", "s.limits.Watchers > 0"}},
			"conformance", "^TestServiceAutoUnmount$", "watches too many of your mounts",
		},
		{
			"clients who wait",
			[]edit{{"internal/service/queue.go", "if len(l.waiting) >= q.limit {", "if len(l.waiting) >= 1<<20 {"}},
			"./internal/service", "^TestQueue$", "push 1, 13: true",
		},
	}...)
}
