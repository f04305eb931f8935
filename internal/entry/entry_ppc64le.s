//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

// R2 and R13 belong to the loader.
#define W 8
#define sp R1
#define at R14
#define env R15
#define val R16
#define tmp R17
#define a0 R3
#define a1 R4
#define a2 R5
#define a3 R6
#define a4 R7
#define ret R3

#define PREPARE
#define START_RUNTIME JMP _rt0_ppc64le_linux(SB)
// An error is positive, with the summary overflow bit set. Go expects R0 to be zero.
#define CALL(number) SYSCALL $number; BVC 2(PC); NEG R3, R3; XOR R0, R0
#define MOVE MOVD
#define LOAD32(from, to) MOVWZ from, to
#define STORE32(from, to) MOVW from, to
#define LOAD8(offset, from, to) MOVBZ offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADD n, to
#define ANDTO(n, to) AND n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) CMP x, $0; BEQ label
#define IF_NOT_ZERO(x, label) CMP x, $0; BNE label
#define IF_NEGATIVE(x, label) CMP x, $0; BLT label
#define IF_NOT(x, n, label) CMP x, $n; BNE label
#define IF_SAME(x, y, label) CMP x, y; BEQ label
#define IF_DIFFERENT(x, y, label) CMP x, y; BNE label

#define ENTER
#define LEAVE RET

#include "entry.h"
#include "handlers.h"
