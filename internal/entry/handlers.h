// A signal handler for package signals. It runs on the runtime's signal stack, on any
// thread, and calls nothing. An architecture defines
//
//	ENTER, LEAVE around a handler
//	SIGRETURN    what a handler returns to, where the kernel has to be told

// disarm takes all capabilities but capsLeft from the thread.
TEXT disarm<>(SB),NOSPLIT|NOFRAME,$0
	ENTER
	MOVE	$·capHeader(SB), a0
	MOVE	$·capsLeft(SB), a1
	CALL(const_sysCapset)
	LEAVE

DATA ·disarmPC(SB)/W, $disarm<>(SB)
GLOBL ·disarmPC(SB), RODATA|NOPTR, $W

#ifdef SIGRETURN
TEXT sigreturn<>(SB),NOSPLIT|NOFRAME,$0
	SIGRETURN

DATA ·sigreturnPC(SB)/W, $sigreturn<>(SB)
GLOBL ·sigreturnPC(SB), RODATA|NOPTR, $W
#endif
