package priv

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

// asOwner are the ids in AsFileOwner: only those of file access are root's.
func asOwner(permitted Set) map[string]string {
	want := idle(permitted)
	want["Uid"] = "4242 4242 4242 0"
	want["Gid"] = "4343 4343 4343 0"
	return want
}

func fileOwnerScenario(c *check) {
	const all = SysAdmin | SetUID | SetGID
	likeUser(c)
	become(c, all)
	err := AsFileOwner(func() error {
		c.want("in AsFileOwner", asOwner(all))
		return create(stage("table"))
	})
	c.noError("AsFileOwner", err)
	c.wantOwner(stage("table"), 0, 0)
	c.want("after AsFileOwner", idle(all))
	c.wantErrno("AsFileOwner", AsFileOwner(func() error { return unix.ENOSPC }), unix.ENOSPC)
	c.want("after an error", idle(all))
	func() {
		defer func() { _ = recover() }()
		_ = AsFileOwner(func() error { panic("on purpose") })
		c.errorf("no panic")
	}()
	c.want("after a panic", idle(all))
	c.wantErrno("create as the user again", create(stage("mine")), unix.EACCES)
}

// closedScenario: AsFileOwner has root's ids, but not root's capabilities.
func closedScenario(c *check) {
	c.noError("mkdir", unix.Mkdir(stage("closed"), 0o700))
	c.noError("chown", unix.Chown(stage("closed"), 5555, 5555))
	c.noError("mkdir", unix.Mkdir(stage("mine"), 0o700))
	c.noError("chown", unix.Chown(stage("mine"), user, group))
	likeUser(c)
	become(c, SysAdmin|SetUID|SetGID)
	for _, dir := range []string{"closed", "mine"} {
		err := AsFileOwner(func() error { return create(stage(dir + "/file")) })
		c.wantErrno("create in "+dir, err, unix.EACCES)
	}
	c.noError("create as the user", create(stage("mine/file")))
	c.wantOwner(stage("mine/file"), user, group)
}

func fileOwnerMissingScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin)
	err := AsFileOwner(func() error {
		c.errorf("called")
		return nil
	})
	c.wantErrno("AsFileOwner", err, unix.EPERM)
	c.want("after the refusal", idle(SysAdmin))
}

// borrowed are the capabilities that even root has only in brackets.
const borrowed = SysAdmin | SetUID | SetGID

func rootScenario(c *check) {
	_, before, _, err := capget(0)
	c.noError("capget", err)
	who := become(c, SysAdmin)
	ownCaps := before &^ borrowed
	between := map[string]string{
		"Uid": "0 0 0 0", "CapEff": hex(ownCaps), "CapPrm": hex(ownCaps | SysAdmin),
		"CapInh": hex(0), "CapAmb": hex(0), "NoNewPrivs": "1",
	}
	c.want("after Become", between)
	if got := dumpable(); got != 0 {
		c.errorf("dumpable is %d", got)
	}
	if who.UID != 0 || ownCaps == 0 {
		c.errorf("Identity is %+v, own %s", who, hex(ownCaps))
	}
	c.noError("With", With(SysAdmin, func() error {
		c.want("in With", map[string]string{"CapEff": hex(ownCaps | SysAdmin)})
		return nil
	}))
	c.want("after With", between)
	c.wantMissing(SetUID)
	c.noError("KeepOnly", KeepOnly(SysAdmin))
	c.want("after KeepOnly", between)
	c.noError("GiveUp", GiveUp())
	c.want("after GiveUp", map[string]string{"CapEff": hex(0), "CapPrm": hex(0)})
	c.wantMissing(SysAdmin)
}

// rootTablesScenario: root with a group of their own writes root's tables, too.
func rootTablesScenario(c *check) {
	setThread(c, entry.Setresgid, group)
	_, before, _, err := capget(0)
	c.noError("capget", err)
	become(c, borrowed)
	c.noError("AsFileOwner", AsFileOwner(func() error { return create(stage("table")) }))
	c.wantOwner(stage("table"), 0, 0)
	c.want("after AsFileOwner", map[string]string{
		"Uid": "0 0 0 0", "Gid": "4343 4343 4343 4343", "CapEff": hex(before &^ borrowed), "CapPrm": hex(before),
	})
	if _, err := os.Stat(stage("table")); err != nil {
		c.errorf("%v", err)
	}
}
