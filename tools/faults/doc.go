// Package faults has each system call of the setuid helper fail, sends a signal before
// it, and kills the helper there, in every mode of the helper. The calls are taken from
// a run in which nothing fails, so that a new one is tried without a change here.
//
// Left out are the calls by which the Go runtime manages its threads and memory (futex,
// mmap, munmap, madvise, tgkill, sigaltstack, sched_yield, rt_sigreturn,
// restart_syscall, a clone that makes a thread) and all calls of threads other than the
// main one. They come at unpredictable moments, the runtime ends the process when one
// fails, and they change nothing outside of the process.
package faults
