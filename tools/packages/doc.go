// Package packages has the tests of what "make install" installs, and of what
// the packages consist of.
package packages
