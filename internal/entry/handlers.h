// Signal handlers for package signals. The handler of the Go runtime would act on
// a signal, or need a goroutine that waits for it. These run on the runtime's signal
// stacks, on any thread, and call nothing. An architecture may define
//
//	signo        the register that has the number of the signal
//	ENTER, LEAVE around a handler
//	SIGRETURN    what a handler returns to, where the kernel has to be told

// note stores the signal's number.
TEXT note<>(SB),NOSPLIT|NOFRAME,$0
	ENTER
	MOVE	signo, ·noted(SB)
	LEAVE

// disarm takes all capabilities but capsLeft from the thread.
TEXT disarm<>(SB),NOSPLIT|NOFRAME,$0
	ENTER
	MOVE	$·capHeader(SB), a0
	MOVE	$·capsLeft(SB), a1
	CALL(const_sysCapset)
	LEAVE

DATA ·notePC(SB)/W, $note<>(SB)
GLOBL ·notePC(SB), RODATA|NOPTR, $W
DATA ·disarmPC(SB)/W, $disarm<>(SB)
GLOBL ·disarmPC(SB), RODATA|NOPTR, $W

#ifdef SIGRETURN
TEXT sigreturn<>(SB),NOSPLIT|NOFRAME,$0
	SIGRETURN

DATA ·sigreturnPC(SB)/W, $sigreturn<>(SB)
GLOBL ·sigreturnPC(SB), RODATA|NOPTR, $W
#endif
