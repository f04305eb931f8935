// Package fuzzcmd calls the setuid helper as an unkind user does: with odd
// arguments, environments, descriptors, limits and masks, in an odd world, and
// looks at the mount table and the tables of user space after each call.
//
// FuzzCommand makes up the calls, by a grammar, from the bytes that fuzzing
// gives it. Zeros stand for what is plain, so that a failure that was minimized
// shows what is odd about it; with -v each call is printed.
package fuzzcmd
