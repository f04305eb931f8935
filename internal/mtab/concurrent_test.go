package mtab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

const rounds = 20

// editTables adds and removes a mount of its own, over and over.
func editTables() error {
	r := record
	id, err := strconv.ParseUint(os.Getenv("MTAB_TEST_ID"), 10, 64)
	if err != nil {
		return err
	}
	r.ID, r.Target = id, fmt.Sprintf("/m %d\n", id)
	if err := untilClosed(); err != nil {
		return err
	}
	for range rounds {
		if err := Add(r); err != nil {
			return err
		}
		text, err := os.ReadFile(MtabPath)
		if err != nil || !strings.Contains(string(text), Escape(r.Target)+" ") || !InUtab(r) {
			return fmt.Errorf("lost: %q, %w", text, err)
		}
		if err := Remove(r); err != nil {
			return err
		}
	}
	return nil
}

// Concurrent edits lose nothing.
func TestTablesConcurrent(t *testing.T) {
	twoTables(t)
	var writers []*helperProcess
	for i := range 8 {
		writers = append(writers, startChild(t, "edit", fmt.Sprintf("MTAB_TEST_ID=%d", 100+i)))
	}
	for _, w := range writers { // now all run
		w.release(t)
	}
	for _, w := range writers {
		w.finish(t)
	}
	wantTables(t, utabBefore, mtabBefore)
}
