package fusetest

import (
	"testing"
	"time"
)

// Patience is how long a test waits for what will come, on a machine that may be
// busy with something else, or stand still for a while. Only a failure takes it.
const Patience = time.Minute

// AwaitAsked waits until accesses have caused more than so many requests (see
// Asked), and fails the test when none comes.
func (s *Server) AwaitAsked(t testing.TB, n int) {
	t.Helper()
	for deadline := time.Now().Add(Patience); len(s.Asked()) <= n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody has asked within %v", Patience)
		}
	}
}
