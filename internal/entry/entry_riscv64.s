//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

#define W 8
#define sp X2
#define at X5
#define env X6
#define val X7
#define tmp X28
#define a0 X10
#define a1 X11
#define a2 X12
#define a3 X13
#define a4 X14
#define ret X10

#define PREPARE
#define START_RUNTIME JMP _rt0_riscv64_linux(SB)
#define CALL(number) MOV $number, X17; ECALL
#define MOVE MOV
#define LOAD32(from, to) MOVWU from, to
#define STORE32(from, to) MOVW from, to
#define LOAD8(offset, from, to) MOVBU offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADD n, to
#define ANDTO(n, to) AND n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) BEQZ x, label
#define IF_NOT_ZERO(x, label) BNEZ x, label
#define IF_NEGATIVE(x, label) BLTZ x, label
#define IF_NOT(x, n, label) MOV $n, X29; BNE x, X29, label
#define IF_SAME(x, y, label) BEQ x, y, label
#define IF_DIFFERENT(x, y, label) BNE x, y, label

#define ENTER
#define LEAVE RET

#include "entry.h"
#include "handlers.h"
