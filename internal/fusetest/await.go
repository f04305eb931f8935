package fusetest

import (
	"testing"
	"time"
)

// AwaitRequest waits until the server has got a request of this kind, and fails
// the test when none comes.
func (s *Server) AwaitRequest(t testing.TB, op Opcode) {
	t.Helper()
	const patience = 10 * time.Second
	for deadline := time.Now().Add(patience); s.Count(op) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %v within %v", op, patience)
		}
	}
}
