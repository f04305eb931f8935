// Package conformance runs the scripts of testdata/script through a real
// helper: ours in every way that it can mount and read the mount table, and
// Debian's C helper for the comparison. It holds tests only.
package conformance
