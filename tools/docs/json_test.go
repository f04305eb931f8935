package docs

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest"
)

// The manual names the members that --list and --check print, and no others.
func TestJSON(t *testing.T) {
	dir := fusetest.Dir(t, 0)
	fusetest.NeedDevice(t)
	mount(t, filepath.Join(dir, "m"), 0)
	members := map[string]bool{}
	for flag, list := range map[string]string{"--list": "mounts", "--check": "findings"} {
		var object map[string]any
		if err := json.Unmarshal(printed(t, flag, "--json"), &object); err != nil {
			t.Fatalf("%s: %v", flag, err)
		}
		items, _ := object[list].([]any)
		if len(items) == 0 {
			t.Fatalf("%s: no %s in %v", flag, list, object)
		}
		item, _ := items[0].(map[string]any)
		for name := range object {
			members[name] = true
		}
		for name := range item {
			members[name] = true
		}
	}
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^\.(?:It )?Cm (.*)$`).FindAllStringSubmatch(sectionOf(t, "fusermount3.1", "JSON"), -1) {
		told = append(told, regexp.MustCompile(`[a-z_]+`).FindAllString(m[1], -1)...)
	}
	if want, got := slices.Sorted(maps.Keys(members)), sorted(told); !reflect.DeepEqual(got, want) {
		t.Errorf("the manual has\n%q, and the program\n%q", got, want)
	}
}

// printed gives what the program prints. An exit status of 1 is an answer, too.
func printed(t *testing.T, args ...string) []byte {
	t.Helper()
	program := os.Getenv("FUSERMOUNT_HELPER")
	if program == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER to the helper: 'make test-manuals' does")
	}
	out, err := exec.Command(program, args...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return out
}
