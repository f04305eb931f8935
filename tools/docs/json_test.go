package docs

import (
	"bytes"
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

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

const schema = "../../packaging/schema/fusectl.schema.json"

// What fusectl prints is what the schema describes: all of it, and nothing else.
func TestJSON(t *testing.T) {
	compiled, err := jsonschema.NewCompiler().Compile(schema)
	if err != nil {
		t.Fatal(err)
	}
	dir := fusetest.Dir(t, 0)
	fusetest.NeedDevice(t)
	mount(t, filepath.Join(dir, "m\xff"), 0)
	described := definitions(t)
	for _, c := range []struct {
		args           []string
		document, list string
		item           string
	}{
		{[]string{"list", "--json"}, "list", "mounts", "mount"},
		{[]string{"check", "--json"}, "check", "findings", "finding"},
		{[]string{"check", "--json", dir}, "check", "findings", "finding"},
	} {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(fusectl(t, c.args...)))
		if err != nil {
			t.Fatalf("%q: %v", c.args, err)
		}
		if err := compiled.Validate(document); err != nil {
			t.Errorf("%q: %v", c.args, err)
		}
		object := document.(map[string]any)
		wantDescribed(t, object, described[c.document])
		items := object[c.list].([]any)
		if len(items) == 0 {
			t.Errorf("%q: no %s", c.args, c.list)
		}
		for _, item := range items {
			wantDescribed(t, item.(map[string]any), described[c.item])
		}
	}
	for name, text := range map[string]string{
		"another version": `{"version":2,"fusectl":true,"mounts":[]}`,
		"a new level":     `{"version":1,"ok":true,"summary":"","findings":[{"level":"x","subject":"mount","text":"","next":null}]}`,
		"nothing found":   `{"version":1,"ok":true,"summary":"","findings":[]}`,
	} {
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil || compiled.Validate(document) == nil {
			t.Errorf("%s is valid, %v", name, err)
		}
	}
}

// definitions gives the members that the schema describes, by definition.
func definitions(t *testing.T) map[string]map[string]any {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(helpertest.ReadFile(t, schema)))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]map[string]any{}
	for name, d := range document.(map[string]any)["$defs"].(map[string]any) {
		if properties, ok := d.(map[string]any)["properties"].(map[string]any); ok {
			members[name] = properties
		}
	}
	return members
}

func wantDescribed(t *testing.T, object, described map[string]any) {
	t.Helper()
	for name := range object {
		if _, ok := described[name]; !ok {
			t.Errorf("%s is not in the schema", name)
		}
	}
	for name := range described {
		if _, ok := object[name]; !ok && !strings.HasSuffix(name, "_hex") {
			t.Errorf("%s is in the schema, and not in %q", name, slices.Sorted(maps.Keys(object)))
		}
	}
}

// The help, the manual and the completions of fusectl name the same flags.
func TestFusectlFlagsAgree(t *testing.T) {
	want := []string{"--help", "--json", "--version", "-V", "-h"}
	told := map[string][]string{
		"--help":    flagsOf(string(fusectl(t, "--help"))),
		"fusectl.1": manualItems(t, "fusectl.1", "Fl", "DESCRIPTION"),
	}
	for file, pattern := range map[string]string{
		"fusectl.bash": `(?:^|[ '])(--?[A-Za-z]+)`, "_fusectl": `['{,](--?[A-Za-z]+)`, "fusectl.fish": ` -([sl] [A-Za-z]+)`,
	} {
		for line := range strings.Lines(helpertest.ReadFile(t, "../../packaging/completions/"+file)) {
			if !regexp.MustCompile(`flags='|^    '|^complete -c`).MatchString(line) {
				continue
			}
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(line, -1) {
				told[file] = append(told[file], strings.NewReplacer("s ", "-", "l ", "--").Replace(m[1]))
			}
		}
	}
	for where, names := range told {
		if got := sorted(names); !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %q, and the program %q", where, got, want)
		}
	}
}

// The help and the manual of the mount service name the same flags.
func TestServiceFlagsAgree(t *testing.T) {
	told := flagsOf(string(output(t, helpertest.ServiceProgram(t), "--help")))
	agree(t, sorted(append(told, "-h", "--help")), map[string][]string{"fusermountd.8": manualItems(t, "fusermountd.8", "Fl", "FLAGS")})
}

// fusectl gives what fusectl prints, which lies beside the helper. An exit status of 1
// is an answer, too.
func fusectl(t *testing.T, args ...string) []byte {
	t.Helper()
	program := os.Getenv("FUSERMOUNT_HELPER")
	if program == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER to the helper: 'make test-manuals' does")
	}
	return output(t, filepath.Join(filepath.Dir(program), "fusectl"), args...)
}

// printed gives what the helper prints.
func printed(t *testing.T, args ...string) []byte {
	t.Helper()
	program := os.Getenv("FUSERMOUNT_HELPER")
	if program == "" {
		fusetest.Skip(t, "set FUSERMOUNT_HELPER to the helper: 'make test-manuals' does")
	}
	return output(t, program, args...)
}

func output(t *testing.T, program string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(program, args...).Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return out
}
