//go:build linux && !android

#include "go_asm.h"
#include "textflag.h"

#define W 4
#define sp SP
#define at SI
#define env DI
#define val AX
#define tmp DX
#define a0 BX
#define a1 CX
#define a2 DX
#define a3 SI
#define a4 DI
#define ret AX

#define PREPARE
#define START_RUNTIME JMP _rt0_386_linux(SB)
#define CALL(number) MOVL $number, AX; INT $0x80
#define MOVE MOVL
#define LOAD32(from, to) MOVL from, to
#define STORE32(from, to) MOVL from, to
#define LOAD8(offset, from, to) MOVBLZX offset(from), to
#define STORE8(from, to) MOVB from, (to)
#define ADDTO(n, to) ADDL n, to
#define ANDTO(n, to) ANDL n, to
#define GOTO(label) JMP label
#define IF_ZERO(x, label) TESTL x, x; JEQ label
#define IF_NOT_ZERO(x, label) TESTL x, x; JNE label
#define IF_NEGATIVE(x, label) TESTL x, x; JLT label
#define IF_NOT(x, n, label) CMPL x, $n; JNE label
#define IF_SAME(x, y, label) CMPL x, y; JEQ label
#define IF_DIFFERENT(x, y, label) CMPL x, y; JNE label

#define ENTER
#define LEAVE RET
#define SIGRETURN MOVL $173, AX; INT $0x80; INT $3

#include "entry.h"
#include "handlers.h"
