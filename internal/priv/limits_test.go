package priv

import "golang.org/x/sys/unix"

const (
	sysResource Set = 1 << unix.CAP_SYS_RESOURCE
	hardLimit       = 1 << 20
)

// spoil sets what a caller may have set to tear a table in two.
func spoil(c *check) {
	c.noError("prlimit", unix.Prlimit(0, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: hardLimit}, nil))
	unix.Umask(0o777)
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	c.noError("sigprocmask", unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil))
}

// wantLimits wants this file size limit, soft and hard, and only these signals
// blocked.
func (c *check) wantLimits(size uint64, blocked ...unix.Signal) {
	var limit unix.Rlimit
	c.noError("prlimit", unix.Prlimit(0, unix.RLIMIT_FSIZE, nil, &limit))
	if limit.Cur != size || limit.Max != size {
		c.errorf("file size limit %+v; want %d", limit, size)
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

func limitsScenario(c *check) {
	likeSetuid(c)
	_, permitted, _, err := capget()
	c.noError("capget", err)
	spoil(c)
	become(c, SysAdmin)
	if permitted.Has(sysResource) {
		c.wantLimits(unix.RLIM_INFINITY, unix.SIGXFSZ)
	} else { // a container's root, say
		c.wantLimits(hardLimit, unix.SIGXFSZ)
	}
}

// limitsKeptScenario: where the hard limit stays, a write fails with an error
// and no signal.
func limitsKeptScenario(c *check) {
	likeSetuid(c)
	_, permitted, _, err := capget()
	c.noError("capget", err)
	rest := permitted &^ sysResource
	c.noError("capset", capset(rest, rest, SysAdmin))
	spoil(c)
	become(c, SysAdmin)
	c.wantLimits(hardLimit, unix.SIGXFSZ)
}
