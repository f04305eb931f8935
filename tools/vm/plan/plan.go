// Package plan is the protocol between host and guest: a list of steps in the initramfs,
// and a stream of records on a serial line.
package plan

// Places in the guest.
const (
	Path        = "/vm/plan.json"
	ModprobeLog = "/vm/modprobe.log" // a line for each call
	Modules     = "/lib/modules"     // flat and unpacked
	AppArmor    = "/vm/apparmor.d"   // what profiles include
)

// Step is one thing to do in the guest, in its order.
type Step struct {
	Name string
	// Load are kernel modules to load first.
	Load []string
	// Argv is the program to run in Dir, with Env and nothing else.
	Argv []string
	Env  []string
	Dir  string
}

// The records are lines between the unchanged output of the steps. They begin with a byte
// that no test prints, so that output without a final newline does not hide the next one.
const (
	Mark  = "\x1d"
	Begin = Mark + "begin " // NAME
	End   = Mark + "end "   // NAME EXIT
	// Done is the last record. A kernel that panics, or a guest that is cut
	// off, never sends it.
	Done = Mark + "done"
)
