package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// attacks are tests of tools/conformance that attack a service through its socket.
var attacks = []string{
	"TestServiceStrangers", "TestServiceForeignDirectory", "TestServiceRoot", "TestServiceGroups", "TestServiceNamespaces",
	"TestServiceLandlock",
}

// The attacks on the mount service fail through the socket of a volume, too.
func TestAttacksThroughSocket(t *testing.T) {
	p := startPlugin(t)
	volume := p.publish("hostile", map[string]string{"mountMax": "100"})
	program := filepath.Join(t.TempDir(), "conformance.test")
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = "../../tools/conformance"
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "FUSERMOUNT_TEST_SOCKET="+filepath.Join(volume, "socket"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	run("go", "test", "-c", "-o", program, ".")
	helpertest.Must(t, os.Chmod(filepath.Dir(program), 0o755)) // it starts itself as other users
	out := run(program, "-test.v", "-test.run", "^("+strings.Join(attacks, "|")+")$")
	for _, name := range attacks {
		if !strings.Contains(out, "--- PASS: "+name+" ") && !strings.Contains(out, "--- SKIP: "+name+" ") {
			t.Errorf("%s: %s", name, out)
		}
	}
	p.unpublish("hostile")
	p.wantNothing()
}
