// Package attacks holds the tests by which a user who is not root attacks the
// setuid helper. Where a moment counts, the helper is stopped before each of its
// system calls in turn, so that every interleaving is tried and none is left to
// luck; and for each check in the code there is a mutant without it, which has
// to lose.
package attacks
