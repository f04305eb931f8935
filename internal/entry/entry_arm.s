//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

#define W 4
#define sp R13
#define at R5
#define env R6
#define val R8
#define tmp R9
#define a0 R0
#define a1 R1
#define a2 R2
#define a3 R3
#define a4 R4
#define ret R0

#define PREPARE
#define START_RUNTIME JMP _rt0_arm_linux(SB)
#define CALL(number) MOVW $number, R7; SWI $0
#define MOVE MOVW
#define LOAD32(from, to) MOVW from, to
#define STORE32(from, to) MOVW from, to
#define LOAD8(offset, from, to) MOVBU offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADD n, to
#define ANDTO(n, to) AND n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) CMP $0, x; BEQ label
#define IF_NOT_ZERO(x, label) CMP $0, x; BNE label
#define IF_NEGATIVE(x, label) CMP $0, x; BLT label
#define IF_NOT(x, n, label) CMP $n, x; BNE label
#define IF_SAME(x, y, label) CMP y, x; BEQ label
#define IF_DIFFERENT(x, y, label) CMP y, x; BNE label

#define ENTER
#define LEAVE RET

#include "entry.h"
#include "handlers.h"
