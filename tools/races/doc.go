// Package races attacks the setuid helper as a user without privileges. The helper stops
// before each of its system calls in turn, so that every interleaving is tried. For each
// check in the code there is a mutant without it, with which a test must fail.
//
// Other tests check the process at each of these moments: the credentials of every
// thread, from the first call on, and whether its user can get into it. They hold it
// before main, inside a call and in its waits, have its first calls fail, and control its
// threads.
package races
