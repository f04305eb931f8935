package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"
)

// All combinations of tasks fit into the buffer on the stack: more rules would panic, a
// longer program would allocate.
func TestProgramFits(t *testing.T) {
	if !supported {
		t.Skip("there is no list for this architecture; run on amd64, 386 or arm64")
	}
	for _, tasks := range append(combinations, always) {
		f := filterFor(tasks, someUID, someUID)
		if n := len(f.program(nil)); n > maxProgram {
			t.Errorf("tasks %#x: %d instructions, and only %d fit", uint(tasks), n, maxProgram)
		}
	}
	full := filter{rules: maxRules}
	for i := range full.free {
		full.free[i] = 1
	}
	if n := len(full.program(nil)); n > maxProgram || perRule*maxRules > 255 {
		t.Errorf("%d instructions, and only %d fit", n, maxProgram)
	}
}

// The verdict on every call, with each of its rules met or missed, is that of the lists.
// TestTo tries some in the kernel.
func TestProgramVerdicts(t *testing.T) {
	if !supported {
		t.Skip("there is no list for this architecture; run on amd64, 386 or arm64")
	}
	for _, tasks := range append(combinations, always) {
		f := filterFor(tasks, someUID, someUID)
		prog := f.program(nil)
		check := func(c call) {
			if got, want := verdict(t, prog, c), f.wants(c); got != want {
				t.Errorf("tasks %#x, call %d with %#x: %#x, want %#x", uint(tasks), c.nr, c.args, got, want)
			}
		}
		for nr := range uint32(maxCalls + 1) {
			check(call{arch: auditArch, nr: nr})
		}
		check(call{arch: auditArch, nr: ^uint32(0)})
		check(call{arch: auditArch + 1})
		for _, r := range f.when[:f.rules] {
			for _, arg := range []uint32{r.value, ^r.value, r.value ^ 1, r.value | ^r.mask, r.mask} {
				c := call{arch: auditArch, nr: r.nr}
				c.args[r.arg] = arg
				check(c)
			}
		}
	}
}

// call is what a filter sees of a system call.
type call struct {
	arch, nr uint32
	args     [6]uint32
}

// wants reads the verdict from the lists.
func (f *filter) wants(c call) uint32 {
	switch {
	case c.arch != auditArch:
		return kill
	case c.nr >= maxCalls:
		return deny
	case f.free[c.nr/wordBits]&(1<<(c.nr%wordBits)) != 0:
		return allow
	case c.nr == unix.SYS_CLONE3:
		return absent
	}
	for _, r := range f.when[:f.rules] {
		if r.nr == c.nr && c.args[r.arg]&r.mask == r.value {
			return allow
		}
	}
	return deny
}

// verdict runs a program.
func verdict(t *testing.T, prog []unix.SockFilter, c call) uint32 {
	t.Helper()
	var a, x uint32
	for at := 0; at < len(prog); at++ {
		in := prog[at]
		holds := false
		switch in.Code {
		case opLoad:
			switch {
			case in.K == nrOffset:
				a = c.nr
			case in.K == archOffset:
				a = c.arch
			default:
				a = c.args[(in.K-argsOffset)/argBytes]
			}
			continue
		case opSet:
			a = in.K
			continue
		case opToX:
			x = a
			continue
		case opAnd:
			a &= in.K
			continue
		case opAndX:
			a &= x
			continue
		case opLeftX:
			a <<= x
			continue
		case opRight:
			a >>= in.K
			continue
		case opJump:
			at += int(in.K)
			continue
		case opRet:
			return in.K
		case opEqual:
			holds = a == in.K
		case opAbove:
			holds = a >= in.K
		default:
			t.Fatalf("instruction %#x", in.Code)
		}
		if holds {
			at += int(in.Jt)
		} else {
			at += int(in.Jf)
		}
	}
	t.Fatal("the program has no end")
	return 0
}
