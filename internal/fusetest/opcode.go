package fusetest

import (
	"strconv"
)

// Opcode is the kind of a request of the kernel, as fuse.h numbers them.
type Opcode uint32

// The opcodes that the server answers, and those that tests name.
const (
	OpLookup      Opcode = 1
	OpForget      Opcode = 2
	OpGetattr     Opcode = 3
	OpOpen        Opcode = 14
	OpRead        Opcode = 15
	OpStatfs      Opcode = 17
	OpRelease     Opcode = 18
	OpFlush       Opcode = 25
	OpInit        Opcode = 26
	OpOpendir     Opcode = 27
	OpReaddir     Opcode = 28
	OpReleasedir  Opcode = 29
	OpAccess      Opcode = 34
	OpInterrupt   Opcode = 36
	OpDestroy     Opcode = 38
	OpPoll        Opcode = 40
	OpBatchForget Opcode = 42
)

var opcodeNames = map[Opcode]string{
	OpLookup: "LOOKUP", OpForget: "FORGET", OpGetattr: "GETATTR",
	OpOpen: "OPEN", OpRead: "READ", OpStatfs: "STATFS",
	OpRelease: "RELEASE", OpFlush: "FLUSH", OpInit: "INIT",
	OpOpendir: "OPENDIR", OpReaddir: "READDIR", OpReleasedir: "RELEASEDIR",
	OpAccess: "ACCESS", OpInterrupt: "INTERRUPT", OpDestroy: "DESTROY", OpPoll: "POLL",
	OpBatchForget: "BATCH_FORGET",
}

// String returns the opcode's name in fuse.h, or its number.
func (o Opcode) String() string {
	if name, ok := opcodeNames[o]; ok {
		return name
	}
	return "opcode " + strconv.FormatUint(uint64(o), 10)
}

// isHousekeeping tells requests that come with mounting, unmounting and the
// cache from those that somebody's access caused.
func (o Opcode) isHousekeeping() bool {
	switch o {
	case OpInit, OpDestroy, OpForget, OpBatchForget, OpInterrupt:
		return true
	}
	return false
}
