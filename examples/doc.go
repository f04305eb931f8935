// Package examples has one tiny file system for each of several FUSE
// libraries. None of them knows our helper: they call fusermount3, and mount
// through it unchanged, which the tests of this package show.
package examples
