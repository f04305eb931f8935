//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

#define W 8
#define sp R29
#define at R16
#define env R17
#define val R18
#define tmp R19
#define a0 R4
#define a1 R5
#define a2 R6
#define a3 R7
#define a4 R8
#define ret R2

// RSB holds the upper half of every address of a variable.
#define PREPARE BGEZAL R0, 1(PC); SRLV $32, R31, RSB; SLLV $32, RSB
#define START_RUNTIME JMP _rt0_mips64le_linux(SB)
// An error is positive, with R7 set.
#define CALL(number) MOVV $number, R2; SYSCALL; BEQ R7, 2(PC); SUBVU R2, R0, R2
#define MOVE MOVV
#define LOAD32(from, to) MOVWU from, to
#define STORE32(from, to) MOVW from, to
#define LOAD8(offset, from, to) MOVBU offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADDV n, to
#define ANDTO(n, to) AND n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) BEQ x, label
#define IF_NOT_ZERO(x, label) BNE x, label
#define IF_NEGATIVE(x, label) BLTZ x, label
#define IF_NOT(x, n, label) MOVV $n, R20; BNE x, R20, label
#define IF_SAME(x, y, label) BEQ x, y, label
#define IF_DIFFERENT(x, y, label) BNE x, y, label

// PREPARE overwrites the return address.
#define ENTER MOVV R31, R20; PREPARE
#define LEAVE MOVV R20, R31; RET

#include "entry.h"
#include "handlers.h"
