// Package conformance runs the scripts of testdata/script with a real helper: ours with
// every way to mount and to read the mount table, and Debian's C helper for comparison.
// It has only tests.
package conformance
