package priv

import (
	"golang.org/x/sys/unix"
)

const (
	sysResource Set = 1 << unix.CAP_SYS_RESOURCE
)

// spoiled are limits that a caller may have set.
var spoiled = map[int]unix.Rlimit{
	unix.RLIMIT_FSIZE: {Cur: 0, Max: 1 << 20},
	unix.RLIMIT_NPROC: {Cur: 0, Max: 1000},
	unix.RLIMIT_AS:    {Cur: 8 << 30, Max: 16 << 30},
	unix.RLIMIT_DATA:  {Cur: 8 << 30, Max: 16 << 30},
}

// spoil sets what a caller may have set to interrupt the writing of a table.
func spoil(c *check) {
	for resource, limit := range spoiled {
		c.noError("prlimit", unix.Prlimit(0, resource, &limit, nil))
	}
	unix.Umask(0o777)
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	c.noError("sigprocmask", unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil))
}

// wantLimits checks that limits are the hard ones, and only these signals are blocked.
func (c *check) wantLimits(blocked ...unix.Signal) {
	for resource, was := range spoiled {
		want := was.Max
		var limit unix.Rlimit
		c.noError("prlimit", unix.Prlimit(0, resource, nil, &limit))
		if limit.Cur != want || limit.Max != want {
			c.errorf("limit %d is %+v; want %d", resource, limit, want)
		}
	}
	var now, want unix.Sigset_t
	for _, s := range blocked {
		want.Val[0] |= 1 << (s - 1)
	}
	c.noError("sigprocmask", unix.PthreadSigmask(unix.SIG_SETMASK, nil, &now))
	if now != want {
		c.errorf("blocked signals are %x; want %x", now.Val, want.Val)
	}
	if mask := unix.Umask(0o022); mask != 0o022 {
		c.errorf("umask is %o", mask)
	}
}

// limitsScenario: the hard limits stay, and a write beyond one fails with an error
// and no signal.
func limitsScenario(c *check) {
	likeUser(c)
	_, permitted, _, err := capget(0)
	c.noError("capget", err)
	c.noError("capset", capset(permitted&^sysResource, permitted&^sysResource, 0))
	spoil(c)
	become(c, SysAdmin)
	c.wantLimits(unix.SIGXFSZ)
}
