// Package races holds the tests by which a user who is not root attacks the
// setuid helper. Where a moment counts, the helper is stopped before each of its
// system calls in turn, so that every interleaving is tried and none is left to
// luck; and for each check in the code there is a mutant without it, which has
// to lose.
//
// Other tests look at what the process is at each of these moments: the
// credentials of every thread, from the first call on, and whether its user can get
// into it. They hold it before main, inside a call and by what it waits for, have its
// first calls fail, and take its threads over.
package races
