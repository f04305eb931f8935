//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

#define W 8
#define sp SP
#define at SI
#define env DI
#define val BX
#define tmp R9
#define a0 DI
#define a1 SI
#define a2 DX
#define a3 R10
#define a4 R8
#define ret AX

#define PREPARE
#define START_RUNTIME JMP _rt0_amd64_linux(SB)
#define CALL(number) MOVQ $number, AX; SYSCALL
#define MOVE MOVQ
#define LOAD32(from, to) MOVL from, to
#define STORE32(from, to) MOVL from, to
#define LOAD8(offset, from, to) MOVBLZX offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADDQ n, to
#define ANDTO(n, to) ANDQ n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) TESTQ x, x; JEQ label
#define IF_NOT_ZERO(x, label) TESTQ x, x; JNE label
#define IF_NEGATIVE(x, label) TESTQ x, x; JLT label
#define IF_NOT(x, n, label) CMPQ x, $n; JNE label
#define IF_SAME(x, y, label) CMPQ x, y; JEQ label
#define IF_DIFFERENT(x, y, label) CMPQ x, y; JNE label

#define ENTER
#define LEAVE RET
#define SIGRETURN MOVQ $15, AX; SYSCALL; INT $3

#include "entry.h"
#include "handlers.h"
