//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

#define W 8
#define sp R15
#define at R7
#define env R8
#define val R9
#define tmp R12
#define a0 R2
#define a1 R3
#define a2 R4
#define a3 R5
#define a4 R6
#define ret R2

#define PREPARE
#define START_RUNTIME JMP _rt0_s390x_linux(SB)
#define CALL(number) MOVD $number, R1; SYSCALL
#define MOVE MOVD
#define LOAD32(from, to) MOVWZ from, to
#define STORE32(from, to) MOVW from, to
#define LOAD8(offset, from, to) MOVBZ offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADD n, to
#define ANDTO(n, to) AND n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) CMPBEQ x, $0, label
#define IF_NOT_ZERO(x, label) CMPBNE x, $0, label
#define IF_NEGATIVE(x, label) CMPBLT x, $0, label
#define IF_NOT(x, n, label) CMPBNE x, $n, label
#define IF_SAME(x, y, label) CMPBEQ x, y, label
#define IF_DIFFERENT(x, y, label) CMPBNE x, y, label

#define ENTER
#define LEAVE RET

#include "entry.h"
#include "handlers.h"
