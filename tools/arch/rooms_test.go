package arch

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A room is a package of the module. ARCHITECTURE.md lists them from the top of the
// house to the bottom, each with the rooms that it imports.

const (
	picture = root + "/ARCHITECTURE.md"
	heading = "## Rooms\n"
	fence   = "```rooms\n"
)

// imports returns the rooms and what each imports of the others.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	rooms := map[string][]string{}
	for _, line := range goList(t, nil, "-f", "{{.ImportPath}} {{range .Imports}}{{.}} {{end}}", "./...") {
		paths := strings.Fields(line)
		room := roomOf(paths[0])
		rooms[room] = nil
		for _, path := range paths[1:] {
			if strings.HasPrefix(path, module) {
				rooms[room] = append(rooms[room], roomOf(path))
			}
		}
		slices.Sort(rooms[room])
	}
	return rooms
}

// roomOf shortens an import path: the client is fusermount, and internal/ is left out.
func roomOf(path string) string {
	if path == module {
		return "fusermount"
	}
	return strings.TrimPrefix(strings.TrimPrefix(path, module+"/"), "internal/")
}

// readPicture returns ARCHITECTURE.md in three parts, the second of which is inside of
// the fence.
func readPicture(t *testing.T) (before, rooms, after string) {
	t.Helper()
	text, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(text), heading)
	if at < 0 {
		t.Fatalf("no %q in %s", heading, picture)
	}
	begin := strings.Index(string(text[at:]), fence)
	if begin < 0 {
		t.Fatalf("no %q below %q", fence, heading)
	}
	begin += at + len(fence)
	end := strings.Index(string(text[begin:]), "```")
	if end < 0 {
		t.Fatalf("%q has no end", fence)
	}
	return string(text[:begin]), string(text[begin : begin+end]), string(text[begin+end:])
}

// TestPicture holds the picture to the imports. With -update it writes the imports and
// keeps the order of the rooms, so that an arrow upwards has to be dealt with by hand.
func TestPicture(t *testing.T) {
	want := imports(t)
	before, rooms, after := readPicture(t)
	if *update {
		rooms = draw(want, order(want, rooms))
		if err := os.WriteFile(picture, []byte(before+rooms+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	floor := map[string]int{}
	for line := range strings.Lines(rooms) {
		room, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		floor[room] = len(floor)
	}
	for room, below := range want {
		for _, other := range below {
			at, drawn := floor[room]
			if below, ok := floor[other]; ok && drawn && below < at {
				t.Errorf("%s imports %s, which is above it: change the import, or the order in the picture", room, other)
			}
		}
	}
	is, should := strings.Split(rooms, "\n"), strings.Split(draw(want, order(want, rooms)), "\n")
	for _, set := range []struct {
		in, notIn []string
		problem   string
	}{
		{is, should, "ARCHITECTURE.md has, and the imports have not"},
		{should, is, "the imports have, and ARCHITECTURE.md has not"},
	} {
		for _, line := range set.in {
			if !slices.Contains(set.notIn, line) {
				t.Errorf("%s (go test ./arch -update writes it): %s", set.problem, line)
			}
		}
	}
}

// draw writes a line for each room.
func draw(imports map[string][]string, order []string) string {
	var b strings.Builder
	for _, room := range order {
		line := fmt.Sprintf("%s -> %s", room, strings.Join(imports[room], " "))
		if len(imports[room]) == 0 {
			line = room
		}
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// order keeps the order of the rooms in the picture, and puts each new one above the
// first that it imports. An empty picture gets the rooms by floors.
func order(imports map[string][]string, rooms string) (list []string) {
	for line := range strings.Lines(rooms) {
		room, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, ok := imports[room]; ok {
			list = append(list, room)
		}
	}
	byFloor := slices.SortedFunc(maps.Keys(imports), func(a, b string) int {
		if d := floors(imports, a) - floors(imports, b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if len(list) == 0 {
		slices.Reverse(byFloor)
		return byFloor
	}
	for _, room := range byFloor {
		if slices.Contains(list, room) {
			continue
		}
		at := slices.IndexFunc(list, func(other string) bool { return slices.Contains(imports[room], other) })
		if at < 0 {
			at = len(list)
		}
		list = slices.Insert(list, at, room)
	}
	return list
}

// floors counts the floors below a room. Go has no import cycles.
func floors(imports map[string][]string, room string) (n int) {
	for _, below := range imports[room] {
		n = max(n, 1+floors(imports, below))
	}
	return n
}

// A room in internal/ serves the programs and the client, and knows none of them.
// The collector is an exception, since it gathers what the client says.
func TestLeavesDoNotImportTheClient(t *testing.T) {
	for room, below := range imports(t) {
		program := strings.HasPrefix(room, "cmd/") || room == "collect"
		if !program && slices.Contains(below, "fusermount") {
			t.Errorf("%s imports the client", room)
		}
	}
}

// What judges facts for people has no part in mounting, nor in privileges.
func TestDiagnoseLinks(t *testing.T) {
	for _, room := range linked(t, "./internal/diagnose") {
		if slices.Contains([]string{"internal/mount", "internal/priv"}, room) {
			t.Errorf("diagnose links %s", room)
		}
	}
}

// Nothing that ships links what is for tests.
func TestShippedLinksNoTests(t *testing.T) {
	commands, err := filepath.Glob(filepath.Join(root, "cmd/*"))
	if err != nil || len(commands) == 0 {
		t.Fatalf("no commands: %v", err)
	}
	for _, pkg := range append(commands, root) {
		rel, err := filepath.Rel(root, pkg)
		if err != nil {
			t.Fatal(err)
		}
		for _, room := range linked(t, "./"+rel) {
			if strings.HasPrefix(room, "internal/fusetest") {
				t.Errorf("%s links %s", rel, room)
			}
		}
	}
}
