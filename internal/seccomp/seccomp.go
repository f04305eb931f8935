// Package seccomp takes system calls away from the process, for good: once it is known
// what the process has to do, it can do nothing else. It can then execute no program,
// create no file, trace no process and reach no network.
//
// The filter holds for every thread, those of the Go runtime included, so it allows what
// the runtime needs. A call that is not allowed fails with EPERM; it does not end the
// process, which may have mounted something that only it can take back.
package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Task is what the process still has to do. Tasks add up.
type Task uint

// The tasks.
const (
	Print    Task = 0         // write what is known already
	Mount    Task = 1 << iota // mount by the new mount API, send the device, take the mount back
	OldMount                  // mount by mount(2)
	Unmount                   // find a mount and unmount it
	Tables                    // write the tables of user space
	Answer                    // wait for the caller and for the kernel, as sync-init does
	Leave                     // become a process that watches
	Watch                     // close the streams, and wait for the socket's end
)

// To restricts the process to tasks, for a caller with these ids. Later calls can only
// take away more. It needs no_new_privs.
//
// Where the kernel has no filters, or a sandbox around us refuses them, the process goes
// on without: the caller would gain nothing by causing that, since no filter of theirs
// survives the exec of a set-id program, and everybody in such a sandbox would lose the
// program. Any other failure is an error.
func To(tasks Task, uid, gid uint32) error {
	if !supported {
		return nil
	}
	var space [maxProgram]unix.SockFilter // on the stack
	f := filterFor(tasks, uid, gid)
	prog := f.program(space[:0])
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	unsynced, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	switch {
	case errno == unix.ENOSYS, errno == unix.EINVAL, errno == unix.EPERM, errno == unix.EACCES:
		return nil
	case errno != 0:
		return fmt.Errorf("seccomp: %w", errno)
	case unsynced != 0:
		return errors.New("seccomp: a thread has another filter")
	}
	return nil
}

// list is some calls that are allowed together.
type list struct {
	free []uintptr // whatever their arguments
	when []rule    // only with certain arguments
}

// rule allows a system call if arg & mask == value, of the lower 32 bits. Of several rules
// for one call any may hold.
type rule struct {
	nr, arg     uint32
	mask, value uint32
}

const all = ^uint32(0) // the mask that compares a whole argument

const (
	maxCalls = 512 // calls are numbered below it on every supported architecture
	wordBits = 32
	maxRules = 32
)

// filter is what is allowed. It has no slices, so that it can lie on the stack.
type filter struct {
	free  [maxCalls / wordBits]uint32 // a bit for each call
	when  [maxRules]rule
	rules int // that count
}

func (f *filter) add(l list) {
	for _, nr := range l.free {
		f.free[nr/wordBits] |= 1 << (nr % wordBits)
	}
	for _, r := range l.when {
		f.when[f.rules] = r
		f.rules++
	}
}

// Offsets in struct seccomp_data (linux/seccomp.h). The supported architectures are
// little-endian: an argument's lower half comes first.
const (
	nrOffset   = 0
	archOffset = 4
	argsOffset = 16
	argBytes   = 8
)

const (
	allow  = unix.SECCOMP_RET_ALLOW
	deny   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	absent = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS) // makes a C library use the older call
	kill   = unix.SECCOMP_RET_KILL_PROCESS
)

// The instructions of classic BPF that are used: A and X are its registers.
const (
	opLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS // A = data[K]
	opSet   = unix.BPF_LD | unix.BPF_IMM              // A = K
	opToX   = unix.BPF_MISC | unix.BPF_TAX            // X = A
	opAnd   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	opAndX  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_X
	opLeftX = unix.BPF_ALU | unix.BPF_LSH | unix.BPF_X
	opRight = unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K
	opEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opAbove = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K // A >= K
	opJump  = unix.BPF_JMP | unix.BPF_JA
	opRet   = unix.BPF_RET | unix.BPF_K
)

func op(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jump(code uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, K: k, Jt: yes, Jf: no}
}

const (
	perWord    = 3 // instructions for one word of the bitmap
	perRule    = 5
	maxProgram = 22 + perWord*maxCalls/wordBits + perRule*maxRules
)

// program appends the filter for the kernel to prog. A call by the numbers of another
// architecture, of which the same kernel may know several, ends the process.
//
// The time to install a filter grows with its length, and is paid at each start. So the
// free calls are a bitmap and not a chain of comparisons.
func (f *filter) program(prog []unix.SockFilter) []unix.SockFilter {
	prog = append(prog,
		op(opLoad, archOffset),
		jump(opEqual, auditArch, 1, 0),
		op(opRet, kill),
		op(opLoad, nrOffset),
		jump(opAbove, maxCalls, 0, 1),
		op(opRet, deny),
		// The free calls: X = 1 << nr%32, A = nr/32.
		op(opAnd, wordBits-1),
		op(opToX, 0),
		op(opSet, 1),
		op(opLeftX, 0),
		op(opToX, 0),
		op(opLoad, nrOffset),
		op(opRight, 5),
	)
	words := 0
	for _, word := range f.free {
		if word != 0 {
			words++
		}
	}
	// A = the word with that number, or 0
	for i, word := range f.free {
		if word == 0 {
			continue
		}
		words--
		prog = append(prog,
			jump(opEqual, uint32(i), 0, perWord-1),
			op(opSet, word),
			op(opJump, uint32(perWord*words+1)),
		)
	}
	prog = append(prog,
		op(opSet, 0),
		op(opAndX, 0),
		jump(opEqual, 0, 1, 0),
		op(opRet, allow),
		// The calls that have rules.
		op(opLoad, nrOffset),
		// Its flags lie in memory, where no filter sees them.
		jump(opEqual, unix.SYS_CLONE3, 0, 1),
		op(opRet, absent),
	)
	for i, r := range f.when[:f.rules] {
		after := perRule * (f.rules - i - 1) // instructions of the other rules
		prog = append(prog,
			jump(opEqual, r.nr, 0, perRule-1),
			op(opLoad, argsOffset+argBytes*r.arg),
			op(opAnd, r.mask),
			jump(opEqual, r.value, uint8(after+2), 0),
			op(opLoad, nrOffset),
		)
	}
	return append(prog, op(opRet, deny), op(opRet, allow))
}
