package diagnose

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestListJSON(t *testing.T) {
	got, err := ListJSON([]Mount{
		{
			Mountpoint: "/m\n\u202e\u061c\u2066", Source: "a\xffb<", Type: "fuse.sshfs", Owner: 0, OwnerName: "root",
			Options: "rw,nosuid", FSOptions: "rw,user_id=0", ID: 33, Connection: 44, State: Hung, Waiting: 2,
			Daemon: []Holder{{7, "x"}}, Stopped: true,
		},
		{Mountpoint: "/n", Type: "fuse", Owner: 5, State: Unknown, Waiting: -1},
	}, true)
	want := `{"version":1,"fusectl":true,"mounts":[` +
		`{"mountpoint":"/m\n\u202e\u061c\u2066","source":"a\ufffdb<","source_hex":"61ff623c","type":"fuse.sshfs","owner":0,"owner_name":"root",` +
		`"options":["rw","nosuid"],"fs_options":["rw","user_id=0"],"mount_id":33,"connection":44,"state":"hung","waiting":2,"pids":[7],"stopped":true,"blocked":false},` +
		`{"mountpoint":"/n","source":"","type":"fuse","owner":5,"owner_name":null,` +
		`"options":[],"fs_options":[],"mount_id":0,"connection":0,"state":"unknown","waiting":null,"pids":[],"stopped":false,"blocked":false}]}`
	if compact(t, got) != want || err != nil {
		t.Errorf("%s, %v\nwant %s", compact(t, got), err, want)
	}
	if got, err := ListJSON(nil, false); compact(t, got) != `{"version":1,"fusectl":false,"mounts":[]}` || err != nil {
		t.Errorf("of nothing: %s, %v", got, err)
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestCheckJSON(t *testing.T) {
	got, err := CheckJSON([]Finding{ok("a", `say "x"`), warn("b", "c\xff", "d\\")}, Facts{})
	want := `{"version":1,"ok":true,"summary":"nothing keeps you from mounting here (1 warning)","findings":[` +
		`{"level":"ok","subject":"a","text":"say \"x\"","next":null},` +
		`{"level":"warn","subject":"b","text":"c\ufffd","text_hex":"63ff","next":"d\\"}]}`
	if compact(t, got) != want || err != nil {
		t.Errorf("%s, %v\nwant %s", compact(t, got), err, want)
	}
	if got, _ := CheckJSON([]Finding{fail("a", "b", "")}, Facts{}); !strings.Contains(got, `"ok": false`) {
		t.Error(got)
	}
}

// FuzzJSON compares what is written with what encoding/json reads: any name comes
// through whole, and none can drive a terminal, mislead its reader or add a member.
func FuzzJSON(f *testing.F) {
	f.Add("/a\u202ebidi", "\u061c\u200e\u200f", "ro,\u2066", "\u2029")
	f.Add("/m", "a\xff\"\\\u2028\x1b[2J\u009b", "rw,x", "alice")
	const leads = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
	f.Fuzz(func(t *testing.T, mountpoint, source, options, owner string) {
		m := Mount{Mountpoint: mountpoint, Source: source, Options: options, OwnerName: owner, State: Alive}
		text, err := ListJSON([]Mount{m, m}, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range text {
			if (r < 0x20 && r != '\n') || (r >= 0x7f && r < 0xa0) || strings.ContainsRune(leads, r) {
				t.Fatalf("%q", text)
			}
		}
		var got struct{ Mounts []map[string]any }
		if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Mounts) != 2 {
			t.Fatalf("%q: %v", text, err)
		}
		read := got.Mounts[1]
		for name, value := range map[string]string{"mountpoint": mountpoint, "source": source, "owner_name": owner} {
			wantText(t, read, name, value)
			delete(read, name+"_hex")
		}
		const members = 14
		if len(read) != members {
			t.Fatalf("%d members: %v", len(read), read)
		}
	})
}

// wantText wants a text of a document to be value, also where that is no UTF-8.
func wantText(t *testing.T, read map[string]any, name, value string) {
	t.Helper()
	all, hasHex := read[name+"_hex"].(string)
	switch {
	case hasHex == utf8.ValidString(value):
		t.Fatalf("%s is %q: %v", name, value, read)
	case hasHex && all != hex.EncodeToString([]byte(value)):
		t.Fatalf("%s_hex of %q is %s", name, value, all)
	case name == "owner_name" && value == "" && read[name] == nil:
	case read[name] != string([]rune(value)):
		t.Fatalf("%s of %q is %q", name, value, read[name])
	}
}
