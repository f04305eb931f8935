package fusetest

import (
	"testing"
)

func TestMountsAt(t *testing.T) {
	const text = `30 1 0:1 / / rw - tmpfs a rw
45 40 0:2 / /m\040\134x rw,nosuid - fuse.x b\011c rw,user_id=0
40 30 0:3 /sub /m\040\134x rw shared:1 master:2 - ext4 /dev/x rw,data=ordered
`
	lines, err := parseMountinfo([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	stack := mountsAt(lines, `/m \x`)
	if len(stack) != 2 || stack[0].ID != 40 || stack[1].ID != 45 || stack[1].Source != "b\tc" || len(stack[0].Tags) != 2 {
		t.Errorf("%+v", stack)
	}
	for _, bad := range []string{"", "1 2 3", "x 1 0:1 / / rw - a b c", "1 2 0:1 / / rw a b c"} {
		if _, err := parseLine(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
