package fusetest

import (
	"testing"
	"time"
)

// AwaitAsked waits until accesses have caused more than so many requests (see
// Asked), and fails the test when none comes.
func (s *Server) AwaitAsked(t testing.TB, n int) {
	t.Helper()
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); len(s.Asked()) <= n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody has asked within %v", patience)
		}
	}
}
