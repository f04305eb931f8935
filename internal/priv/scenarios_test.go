package priv

import (
	"errors"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/entry"
)

var scenarios = map[string]func(*check){
	"user":               userScenario,
	"user-tables":        tablesScenario,
	"with":               withScenario,
	"with-panic":         panicScenario,
	"with-missing":       missingScenario,
	"keep-only":          keepOnlyScenario,
	"give-up":            giveUpScenario,
	"no-way-back":        noWayBackScenario,
	"file-owner":         fileOwnerScenario,
	"file-owner-closed":  closedScenario,
	"file-owner-missing": fileOwnerMissingScenario,
	"root":               rootScenario,
	"root-tables":        rootTablesScenario,
	"file-capability":    fileCapabilityScenario,
	"unprivileged":       unprivilegedScenario,
	"limits":             limitsScenario,
	"another-thread":     threadScenario,
	"saved-ids":          savedScenario,
}

func userScenario(c *check) {
	likeUser(c)
	c.noError("dumpable", unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0))
	who := become(c, SysAdmin)
	c.want("after Become", idle(SysAdmin))
	if who.UID != user || who.GID != group {
		c.errorf("Identity is %+v", who)
	}
	if who.Origin.EUID != user || who.Origin.NoNewPrivs || Set(who.Origin.Permitted)&SysAdmin == 0 {
		c.errorf("Origin is %+v", who.Origin)
	}
	if got := dumpable(); got != 0 {
		c.errorf("dumpable is %d", got)
	}
}

func tablesScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin|SetUID|SetGID)
	c.want("after Become", idle(SysAdmin|SetUID|SetGID))
}

// inside is the state within a bracket.
func inside(raised, permitted Set) map[string]string {
	want := idle(permitted)
	want["CapEff"] = hex(raised)
	return want
}

func withScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin|SetUID)
	called := 0
	look := func() error {
		called++
		c.want("in With", inside(SysAdmin, SysAdmin|SetUID))
		return nil
	}
	c.noError("With", With(SysAdmin, look))
	c.want("after With", idle(SysAdmin|SetUID))
	c.wantErrno("With", With(SysAdmin, func() error { called++; return unix.EBUSY }), unix.EBUSY)
	c.want("after an error", idle(SysAdmin|SetUID))
	c.noError("With", With(SysAdmin, look)) // as often as it is needed
	c.want("after the third", idle(SysAdmin|SetUID))
	if called != 3 {
		c.errorf("called %d times", called)
	}
}

func panicScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin)
	func() {
		defer func() {
			if p := recover(); p != "on purpose" {
				c.errorf("recovered %v", p)
			}
		}()
		err := With(SysAdmin, func() error { panic("on purpose") })
		c.errorf("With returned %v", err)
	}()
	c.want("after a panic", idle(SysAdmin))
}

// wantMissing checks that With refuses, and makes no call.
func (c *check) wantMissing(caps Set) {
	err := With(caps, func() error {
		c.errorf("called without %s", hex(caps))
		return nil
	})
	c.wantErrno("With "+hex(caps), err, unix.EPERM)
	if !errors.Is(err, ErrMissing) {
		c.errorf("With %s: %v; want ErrMissing", hex(caps), err)
	}
}

func missingScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin)
	for _, caps := range []Set{SetUID, SetGID, SysAdmin | SetUID, 1 << unix.CAP_DAC_OVERRIDE} {
		c.wantMissing(caps)
		c.want("after a refusal", idle(SysAdmin))
	}
}

func keepOnlyScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin|SetUID|SetGID)
	c.noError("KeepOnly", KeepOnly(SysAdmin))
	c.want("after KeepOnly", idle(SysAdmin))
	c.wantMissing(SetUID)
	c.noError("KeepOnly", KeepOnly(SysAdmin|SetUID)) // nothing comes back
	c.want("after KeepOnly of more", idle(SysAdmin))
	c.noError("With", With(SysAdmin, func() error { return nil }))
}

func giveUpScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin|SetUID|SetGID)
	c.noError("GiveUp", GiveUp())
	c.want("after GiveUp", idle(0))
	c.wantMissing(SysAdmin)
	c.noError("GiveUp", GiveUp())
}

// noWayBackScenario tries what code injected into the process would try.
func noWayBackScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin)
	c.noError("GiveUp", GiveUp())
	c.wantErrno("setresuid", setIDs(entry.Setresuid), unix.EPERM)
	c.wantErrno("setresgid", setIDs(entry.Setresgid), unix.EPERM)
	c.wantErrno("capset", capset(0, SysAdmin, 0), unix.EPERM)
	c.wantErrno("setfsuid", setFSID(entry.Setfsuid, 0), unix.EPERM)
	c.wantErrno("ambient", raiseAmbient(unix.CAP_SYS_ADMIN), unix.EPERM)
	c.want("after all that", idle(0))
}

// savedScenario: between brackets, no saved id allows a return.
func savedScenario(c *check) {
	likeUser(c)
	become(c, SysAdmin|SetUID|SetGID)
	c.wantErrno("setresuid", setIDs(entry.Setresuid), unix.EPERM)
	c.want("after the attempt", idle(SysAdmin|SetUID|SetGID))
}

func fileCapabilityScenario(c *check) {
	setThread(c, entry.Setresgid, group)
	c.noError("keepcaps", unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0))
	setThread(c, entry.Setresuid, user)
	c.noError("capset", capset(SysAdmin, SysAdmin, 0))
	who := become(c, SysAdmin|SetUID|SetGID)
	c.want("after Become", idle(SysAdmin))
	if who.Origin.EUID != user {
		c.errorf("Identity is %+v", who)
	}
	c.noError("With", With(SysAdmin, func() error { return nil }))
	c.wantMissing(SetUID)
}

func unprivilegedScenario(c *check) {
	setThread(c, entry.Setresgid, group)
	setThread(c, entry.Setresuid, user)
	who := become(c, SysAdmin|SetUID|SetGID)
	c.want("after Become", idle(0))
	c.wantMissing(SysAdmin)
	if who.Origin.Permitted != 0 {
		c.errorf("Identity is %+v", who)
	}
}

// threadScenario: on a thread that is not the main one nothing happens.
func threadScenario(c *check) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends here
		before := status(c)
		called := false
		for name, err := range map[string]error{
			"Become": func() error { _, err := Become(); return err }(),
			"With":   With(SysAdmin, func() error { called = true; return nil }),
		} {
			if err == nil || !strings.Contains(err.Error(), "on thread") || called {
				c.errorf("%s: %v, called %v", name, err, called)
			}
		}
		for _, name := range []string{"Uid", "CapEff", "CapPrm", "NoNewPrivs"} {
			c.want("on another thread", map[string]string{name: before[name]})
		}
	}()
	<-done
}
