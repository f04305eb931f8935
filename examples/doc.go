// Package examples has one tiny file system for each of several FUSE libraries.
// The programs hello-* call the helper as their libraries do, and know nothing of
// ours; client-* mount with the client package. The tests of this package show
// both.
package examples
