// Package rooms runs the demo, the scripts of the command and all tests on machines that
// differ from the one at hand: other users, other mounts, another /proc, no loop devices.
// Each such room is a mount namespace. It has only tests; "make test-rooms" runs them.
package rooms
