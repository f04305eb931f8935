// The code that runs before the Go runtime, the same on every architecture. Each
// entry_GOARCH.s defines the words that this file is written in, and includes it:
//
//	sp, at, env, val, tmp  the stack pointer, two pointers and two values
//	a0 ... a4, ret         arguments and result of a system call
//	MOVE, W                move a machine word; its size in bytes
//	CALL(number)           make a system call; ret is a negative errno on failure
//
// It calls nothing. Values that outlive a system call are kept in variables of
// package entry.

#define RESULT(step) MOVE ret, ·results+(step*W)(SB)
#define PRCTL(option, arg) MOVE $option, a0; MOVE $arg, a1; MOVE $0, a2; MOVE $0, a3; MOVE $0, a4; CALL(const_sysPrctl)
#define PRLIMIT(limit, new, old) MOVE $0, a0; MOVE $limit, a1; MOVE $new, a2; MOVE $old, a3; CALL(const_sysPrlimit64)
#define COPY32(from, to) LOAD32(from, val); STORE32(val, to)
// Both limits to infinity; then, should that have failed, the soft one to the hard one.
#define RAISE(limit, done) \
	PRLIMIT(limit, ·unlimited(SB), 0) \
	PRLIMIT(limit, 0, ·limit(SB)) \
	MOVE ret, val \
	IF_NEGATIVE(val, done) \
	COPY32(·limit+8(SB), ·limit+0(SB)) \
	COPY32(·limit+12(SB), ·limit+4(SB)) \
	PRLIMIT(limit, ·limit(SB), 0) \
done:

DATA oneProcessor<>+0(SB)/8, $"GOMAXPRO"
DATA oneProcessor<>+8(SB)/5, $"CS=1\x00"
GLOBL oneProcessor<>(SB), RODATA|NOPTR, $13

TEXT fusermount_entry(SB),NOSPLIT|NOFRAME,$0
	PREPARE
	MOVE	$1, val
	MOVE	val, ·ran(SB)

	// At sp: argc, arguments, 0, environment, 0, pairs of the auxiliary vector, 0.
	MOVE	sp, at
	ADDTO($W, at)
arguments:
	MOVE	(at), val
	ADDTO($W, at)
	IF_NOT_ZERO(val, arguments)
	MOVE	at, env
environment:
	MOVE	(at), val
	ADDTO($W, at)
	IF_NOT_ZERO(val, environment)
auxiliary:
	MOVE	(at), val
	MOVE	W(at), tmp
	ADDTO($(2*W), at)
	IF_ZERO(val, known)
	IF_NOT(val, const_atUID, notUID)
	MOVE	tmp, ·uid(SB)
notUID:
	IF_NOT(val, const_atEUID, notEUID)
	MOVE	tmp, ·euid(SB)
notEUID:
	IF_NOT(val, const_atGID, notGID)
	MOVE	tmp, ·gid(SB)
notGID:
	IF_NOT(val, const_atEGID, notEGID)
	MOVE	tmp, ·egid(SB)
notEGID:
	IF_NOT(val, const_atSecure, auxiliary)
	MOVE	tmp, ·secure(SB)
	GOTO(auxiliary)
known:
	MOVE	·secure(SB), val
	IF_ZERO(val, runtime)

	// Rename each variable GO... to _O..., which the Go runtime does not look for.
variable:
	MOVE	(env), val
	ADDTO($W, env)
	IF_ZERO(val, limits)
	LOAD8(0, val, tmp)
	IF_NOT(tmp, const_letterG, variable)
	LOAD8(1, val, tmp)
	IF_NOT(tmp, const_letterO, variable)
	MOVE	$const_underscore, tmp
	STORE8(tmp, val)
	GOTO(variable)

	// Raise limits while CAP_SYS_RESOURCE is effective, if the file's owner has it.
limits:
	RAISE(const_rlimitFSIZE, fileSizeRaised)
	RAISE(const_rlimitNPROC, processesRaised)
	RAISE(const_rlimitAS, addressSpaceRaised)
	RAISE(const_rlimitDATA, dataRaised)

	// Let the runtime open nothing but missing standard streams: at its start it would
	// read files of cgroups, for a number of processors. Package syscall raises the
	// soft limit to the hard one when it is initialized.
	PRLIMIT(const_rlimitNOFILE, 0, ·limit(SB))
	MOVE	ret, val
	IF_NEGATIVE(val, filesLimited)
	COPY32(·limit+8(SB), ·streams+8(SB))
	COPY32(·limit+12(SB), ·streams+12(SB))
	PRLIMIT(const_rlimitNOFILE, ·streams(SB), 0)
filesLimited:

	// Note what the process may do.
	PRCTL(const_prGetNoNewPrivs, 0)
	RESULT(const_stepWasNoNewPrivs)
	MOVE	ret, ·noNewPrivs(SB)
	MOVE	$·capHeader(SB), a0
	MOVE	$·capsBefore(SB), a1
	CALL(const_sysCapget)
	RESULT(const_stepCapget)

	// Ids that are right are not set: with a file capability they all are.
	MOVE	·uid(SB), val
	MOVE	·euid(SB), tmp
	IF_DIFFERENT(val, tmp, ids)
	MOVE	·gid(SB), val
	MOVE	·egid(SB), tmp
	IF_SAME(val, tmp, capabilities)
ids:
	PRCTL(const_prSetKeepCaps, 1)
	RESULT(const_stepKeepCaps)
	MOVE	·gid(SB), a0
	MOVE	·gid(SB), a1
	MOVE	·gid(SB), a2
	CALL(const_sysSetresgid)
	RESULT(const_stepSetresgid)
	MOVE	·uid(SB), a0
	MOVE	·uid(SB), a1
	MOVE	·uid(SB), a2
	CALL(const_sysSetresuid)
	RESULT(const_stepSetresuid)
	PRCTL(const_prSetKeepCaps, 0)
	RESULT(const_stepKeepCapsOff)

	// A caller who is root has lent itself nothing.
capabilities:
	MOVE	·uid(SB), val
	IF_ZERO(val, check)
	LOAD32(·capsBefore+const_permittedOffset(SB), val)
	MOVE	$const_lendable, tmp
	ANDTO(tmp, val)
	STORE32(val, ·capsAfter+const_permittedOffset(SB))
	MOVE	$·capHeader(SB), a0
	MOVE	$·capsAfter(SB), a1
	CALL(const_sysCapset)
	RESULT(const_stepCapset)
	PRCTL(const_prSetNoNewPrivs, 1)
	RESULT(const_stepNoNewPrivs)
	PRCTL(const_prSetDumpable, 0)
	RESULT(const_stepDumpable)

check:
	MOVE	$·results(SB), at
	MOVE	$·results+(const_steps*W)(SB), env
result:
	MOVE	(at), val
	IF_NEGATIVE(val, failed)
	ADDTO($W, at)
	IF_DIFFERENT(at, env, result)
	GOTO(processors)

	// Go names the step that failed, and exits. It does so without any capability
	// effective: they are given up here, or the kernel took them with root's ids.
failed:
	MOVE	$·capHeader(SB), a0
	MOVE	$·capsNone(SB), a1
	CALL(const_sysCapset)
	MOVE	ret, val
	IF_ZERO(val, processors)
	MOVE	·uid(SB), val
	MOVE	·euid(SB), tmp
	IF_SAME(val, tmp, exit)
	CALL(const_sysGeteuid)
	MOVE	ret, tmp
	MOVE	·uid(SB), val
	IF_DIFFERENT(val, tmp, exit)

	// Put GOMAXPROCS=1 in front of the environment: the runtime starts fewer threads
	// then. argc and the arguments move down by two words, which keeps the stack
	// aligned, and the variable fills both.
processors:
	MOVE	sp, at
	MOVE	sp, env
	ADDTO($(-2*W), env)
	MOVE	env, tmp
	MOVE	(at), val
	MOVE	val, (env)
move:
	ADDTO($W, at)
	ADDTO($W, env)
	MOVE	(at), val
	MOVE	val, (env)
	IF_NOT_ZERO(val, move)
	MOVE	$oneProcessor<>(SB), val
	ADDTO($W, env)
	MOVE	val, (env)
	ADDTO($W, env)
	MOVE	val, (env)
	MOVE	tmp, sp

runtime:
	START_RUNTIME

	// A message would be written with the file owner's rights.
exit:
	MOVE	$1, a0
	CALL(const_sysExitGroup)
	GOTO(exit)
