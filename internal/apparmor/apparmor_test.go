package apparmor

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string][2]string{
		"unconfined\n":                    {},
		"fusermount3 (enforce)\n":         {"fusermount3", "enforce"},
		"/usr/bin/a b (complain)":         {"/usr/bin/a b", "complain"},
		"a//&b (mixed)\n":                 {"a//&b", "mixed"},
		"system_u:system_r:init_t:s0\x00": {},
		"":                                {},
		" (enforce)":                      {},
	} {
		if name, mode := parse(text); [2]string{name, mode} != want {
			t.Errorf("parse(%q) = %q, %q", text, name, mode)
		}
	}
}
