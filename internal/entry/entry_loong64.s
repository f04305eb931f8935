//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

#define W 8
#define sp R3
#define at R23
#define env R24
#define val R25
#define tmp R26
#define a0 R4
#define a1 R5
#define a2 R6
#define a3 R7
#define a4 R8
#define ret R4

#define PREPARE
#define START_RUNTIME JMP _rt0_loong64_linux(SB)
#define CALL(number) MOVV $number, R11; SYSCALL
#define MOVE MOVV
#define LOAD32(from, to) MOVWU from, to
#define STORE32(from, to) MOVW from, to
#define LOAD8(offset, from, to) MOVBU offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADDV n, to
#define ANDTO(n, to) AND n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) BEQ x, R0, label
#define IF_NOT_ZERO(x, label) BNE x, R0, label
#define IF_NEGATIVE(x, label) BLTZ x, label
#define IF_NOT(x, n, label) MOVV $n, R27; BNE x, R27, label
#define IF_SAME(x, y, label) BEQ x, y, label
#define IF_DIFFERENT(x, y, label) BNE x, y, label

#define ENTER
#define LEAVE RET

#include "entry.h"
#include "handlers.h"
