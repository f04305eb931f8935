// Package faults holds the tests by which each system call of the setuid
// helper fails once, is the first after a signal, and is the last before SIGKILL, in
// every way through it.
// Which calls these are is taken from a run where nothing fails, so that a new one
// is tried by itself.
//
// The calls by which the Go runtime runs its threads and memory on its own (futex,
// mmap, munmap, madvise, tgkill, sigaltstack, sched_yield, rt_sigreturn,
// restart_syscall, a clone that makes a thread) are left out: they come at no
// foreseeable moment, and the runtime ends the process where one fails. To be killed at
// one of them leaves what it leaves to be killed at the next call that is shown, since
// they change nothing outside of the process. The same goes for all calls of other
// threads than the main one.
package faults
