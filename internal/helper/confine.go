package helper

import (
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/seccomp"
)

// only leaves the process no more rights and no more system calls than its
// tasks need.
func (h *helper) only(tasks seccomp.Task) error {
	h.tasks = tasks
	if err := priv.KeepOnly(rights(tasks)); err != nil {
		return err
	}
	return seccomp.To(tasks, h.who.UID, h.who.GID)
}

// sight looks for a table of user space.
type sight func() (seen bool, err error)

// ifAny is the task of writing tables, if one is seen.
func (h *helper) ifAny(tables ...sight) seccomp.Task {
	for _, sees := range tables {
		seen, err := sees()
		if err != nil {
			h.report.warn("warning: " + err.Error())
		}
		if seen {
			return seccomp.Tables
		}
	}
	return 0
}

// mayWriteTables says whether there was a table to write when the tasks were
// chosen. One that came since is left alone: the right to write it is gone.
func (h *helper) mayWriteTables() bool { return h.tasks&seccomp.Tables != 0 }

// rights are the capabilities that tasks need.
func rights(tasks seccomp.Task) priv.Set {
	if tasks&seccomp.Tables != 0 {
		return priv.SysAdmin | priv.SetUID | priv.SetGID
	}
	return priv.SysAdmin
}

// printAlone prints, with no rights left to do anything else.
func (h *helper) printAlone(text string) error {
	if err := priv.GiveUp(); err != nil {
		return err
	}
	if err := seccomp.To(seccomp.Print, h.who.UID, h.who.GID); err != nil {
		return err
	}
	return h.report.print(text)
}
