package faults

import (
	"context"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// TestKill has the helper killed before each of its system calls, which is after
// the one before it: what it leaves is at most a mount of its caller's that he can
// remove, whole tables, and files that are in nobody's way.
func TestKill(t *testing.T) {
	sweep(t, func(_ mode, _ int, at spot) []fault {
		if at.child {
			return []fault{
				{name: "SIGKILL", does: fusetest.Kill},
				{name: "SIGKILL of the parent", parent: true, kills: true},
			}
		}
		return []fault{{name: "SIGKILL", does: fusetest.Kill, kills: true}}
	})
}

// aftermath uses what a killed helper has left as its caller would.
func (v *verdict) aftermath() {
	left, err := v.world.strays(false)
	if err != nil {
		v.complain("%v", err)
	}
	if v.mounted {
		v.again("-u")
	}
	if len(left) == 0 {
		return
	}
	v.again("-o", "x-a")
	if left, err := v.world.strays(false); err != nil || len(left) > 0 {
		v.complain("left behind by the next one: %q, %v", left, err)
	}
	for _, t := range v.world.mode.tables() {
		if lines, err := t.read(v.world.m); err != nil || lines == 0 {
			v.complain("%d lines in %s after the next one: %v", lines, t.path, err)
		}
	}
	v.again("-u")
}

// again calls the helper once more, and wants it to succeed without a word.
func (v *verdict) again(args ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), fusetest.Patience)
	defer cancel()
	result := v.world.call(args...).Run(ctx)
	_, mounted, err := fusetest.TopMount(v.world.m)
	if result.Err != nil || result.Exit != 0 || result.Stderr != "" || err != nil || mounted == (args[0] == "-u") {
		v.complain("%q afterwards: exit %d, %q, mounted %v, %v, %v", args, result.Exit, result.Stderr, mounted, err, result.Err)
	}
	if err := shut(&result.Dev); err != nil {
		v.complain("%v", err)
	}
}
