package fuseconf

import (
	"os"
	"strings"
	"testing"

	"github.com/go-fusermount/fusermount/internal/fstypes"
)

func TestParse(t *testing.T) {
	const d = DefaultMountMax
	long := strings.Repeat("a", MaxLine+1)
	for _, c := range []struct {
		text     string
		want     Settings
		warnings int
	}{
		{"", Settings{false, d, 0}, 0},
		{"\n\n \t\n#x\n", Settings{false, d, 0}, 0},
		{"user_allow_other\n", Settings{true, d, 0}, 0},
		{"  user_allow_other\t # yes\n", Settings{true, d, 0}, 0},
		{"#user_allow_other\n", Settings{false, d, 0}, 0},
		{"user_allow_other", Settings{true, d, 0}, 1},
		{"user_allow_other x\n", Settings{false, d, 0}, 1},
		{"User_Allow_Other\n", Settings{false, d, 0}, 1},
		{"user_allow_other = 1\n", Settings{false, d, 0}, 1},
		{"mount_max = 5\n", Settings{false, 5, 0}, 0},
		{"mount_max=5\n", Settings{false, 5, 0}, 0},
		{"mount_max\t=\t5#x\n", Settings{false, 5, 0}, 0},
		{"mount_max = 0\n", Settings{false, 0, 0}, 0},
		{"mount_max = -1\n", Settings{false, NoLimit, 0}, 0},
		{"mount_max = 010\n", Settings{false, 8, 0}, 0},
		{"mount_max = 0x10\n", Settings{false, 16, 0}, 0},
		{"mount_max = 0X1f\n", Settings{false, 31, 0}, 0},
		{"mount_max = +7\n", Settings{false, 7, 0}, 0},
		{"mount_max = -0x1\n", Settings{false, NoLimit, 0}, 0},
		{"mount_max = 5\nmount_max = 6\n", Settings{false, 6, 0}, 0},
		{"mount_max = 5\nmount_max = -2\n", Settings{false, 5, 0}, 1},
		{"mount_max = 0x\n", Settings{false, d, 0}, 1},
		{"mount_max = 08\n", Settings{false, d, 0}, 1},
		{"mount_max = 1x\n", Settings{false, d, 0}, 1},
		{"mount_max = 0b1\n", Settings{false, d, 0}, 1},
		{"mount_max = 0o7\n", Settings{false, d, 0}, 1},
		{"mount_max = 1_0\n", Settings{false, d, 0}, 1},
		{"mount_max = 0x-1\n", Settings{false, d, 0}, 1},
		{"mount_max = --1\n", Settings{false, d, 0}, 1},
		{"mount_max = 5 6\n", Settings{false, d, 0}, 1},
		{"mount_max =\n", Settings{false, d, 0}, 1},
		{"mount_max\n", Settings{false, d, 0}, 1},
		{"mount_max = 99999999999999\n", Settings{false, d, 0}, 1},
		{"mount_maximum = 1\n", Settings{false, d, 0}, 1},
		{"mount_over = 9p\nmount_over=udf\nmount_over = 9p\n", Settings{false, d, over("9p") | over("udf")}, 0},
		{"mount_over = proc\nmount_over = ext4\nmount_over = 0x9fa0\nmount_over =\nmount_over\nmount_over = 9p udf\n", Settings{false, d, 0}, 6},
		{long + "\nuser_allow_other\n", Settings{true, d, 0}, 1},
		{"user_allow_other #" + long + "\n", Settings{false, d, 0}, 1},
		{"a\x00b\nuser_allow_other\r\n", Settings{true, d, 0}, 1},
	} {
		got, warnings, err := Parse(c.text)
		if err != nil || got != c.want || len(warnings) != c.warnings {
			t.Errorf("Parse(%q) = %+v, %q, %v; want %+v and %d warnings", c.text, got, warnings, err, c.want, c.warnings)
		}
	}
}

func over(name string) fstypes.Set {
	s, _ := fstypes.Allowable(name)
	return s
}

// The installed file changes nothing, and each of its commented lines is valid.
func TestInstalledFile(t *testing.T) {
	text, err := os.ReadFile("../../packaging/fuse.conf")
	if err != nil {
		t.Fatal(err)
	}
	if s, warnings, err := Parse(string(text)); err != nil || len(warnings) > 0 || s != Defaults() {
		t.Errorf("%+v, %q, %v", s, warnings, err)
	}
	on := strings.NewReplacer("\n#mount_max", "\nmount_max", "\n#user_allow_other", "\nuser_allow_other", "\n#mount_over", "\nmount_over").Replace(string(text))
	want := Settings{UserAllowOther: true, MountMax: DefaultMountMax, MountOver: over("9p")}
	if s, warnings, err := Parse(on); err != nil || len(warnings) > 0 || s != want {
		t.Errorf("switched on: %+v, %q, %v", s, warnings, err)
	}
}

func TestParseWarningsHaveLineNumbers(t *testing.T) {
	_, warnings, err := Parse("#\n\nfoo\nmount_max = -5\n")
	want := "unknown parameter in /etc/fuse.conf at line 3: 'foo'|mount_max is below -1 in /etc/fuse.conf at line 4: '-5'"
	if got := strings.Join(warnings, "|"); err != nil || got != want {
		t.Errorf("warnings %q, %v; want %q", got, err, want)
	}
}

func TestParseTooLarge(t *testing.T) {
	const first = "user_allow_other\n"
	text := first + strings.Repeat("\n", MaxFile-len(first))
	if s, _, err := Parse(text); err != nil || !s.UserAllowOther {
		t.Errorf("%d bytes: %+v, %v", len(text), s, err)
	}
	if s, _, err := Parse(text + "\n"); err == nil || s != Defaults() {
		t.Errorf("%d bytes: %+v, %v", len(text)+1, s, err)
	}
}

func TestUnmapped(t *testing.T) {
	for _, c := range []struct {
		uidMap string
		uid    uint32
		want   bool
	}{
		{"         0          0 4294967295\n", 65534, false},
		{"0 1000 1\n", 65534, true},
		{"0 1000 1\n", 0, false},
		{"0 1000 1\n1 100000 65536\n", 65534, false},
		{"0 1000 1\n1 100000 65533\n", 65534, true},
		{"0 1000 65534\n", 65533, false},
		{"", 65534, false},
		{"0 1000\n", 65534, false},
		{"x 0 1\n", 65534, false},
	} {
		if got := Unmapped(c.uidMap, c.uid); got != c.want {
			t.Errorf("Unmapped(%q, %d) = %v", c.uidMap, c.uid, got)
		}
	}
	if Untrusted(1000, 65534, 0o100644, true) != "" || Untrusted(1000, 65534, 0o100664, true) == "" || Untrusted(1000, 65534, 0o100644, false) == "" {
		t.Error("a file of an owner without a number")
	}
}
