// Package fuzzcmd calls the setuid helper as a hostile user: with odd arguments,
// environments, descriptors, limits and masks, in an odd world. It checks the mount
// table, utab and mtab after each call.
//
// FuzzCommand makes the calls by a grammar from the bytes of the fuzzing engine. Zeros
// mean the plain choice, so that a minimized failure shows what is odd about it. With
// -v each call is printed.
package fuzzcmd
