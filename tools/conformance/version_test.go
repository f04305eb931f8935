package conformance

import (
	"os/exec"
	"testing"
)

// Scripts parse the version in these ways. Each has to give libfuse's, whatever our
// own looks like.
func TestVersionInScripts(t *testing.T) {
	for _, version := range []string{"v1.2.3-4-g0123456-dirty", "1.2.3-1ubuntu0.1"} {
		program := build(t, "0", "-X main.version="+version)
		for _, script := range []string{
			`awk '{print $3}'`,
			`cut -d' ' -f3`,
			`grep -oE '[0-9]+(\.[0-9]+)+'`,
			`grep -oE '[0-9]+\.[0-9]+'  | sed 's/$/.0/'`,
			`sed -E 's/[^0-9]*[0-9]*[^0-9]*([0-9]+(\.[0-9]+)*).*/\1/'`,
			`while read -r _ _ version _; do echo "$version"; done`,
		} {
			out, err := exec.Command("sh", "-c", `"$0" -V | `+script, program).CombinedOutput()
			if err != nil || string(out) != "3.19.0\n" {
				t.Errorf("%s, %s: %q, %v", version, script, out, err)
			}
		}
	}
}
