package diagnose

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/go-fusermount/fusermount/internal/printable"
)

// Version is that of the JSON documents. Members are neither removed nor given another
// meaning without a higher version; new ones may be added.
const Version = 1

type listDocument struct {
	Version int         `json:"version"`
	Fusectl bool        `json:"fusectl"`
	Mounts  []mountJSON `json:"mounts"`
}

type mountJSON struct {
	Mountpoint    string   `json:"mountpoint"`
	MountpointHex string   `json:"mountpoint_hex,omitempty"`
	Source        string   `json:"source"`
	SourceHex     string   `json:"source_hex,omitempty"`
	Type          string   `json:"type"`
	TypeHex       string   `json:"type_hex,omitempty"`
	Owner         uint32   `json:"owner"`
	OwnerName     *string  `json:"owner_name"`
	OwnerNameHex  string   `json:"owner_name_hex,omitempty"`
	Options       []string `json:"options"`
	FSOptions     []string `json:"fs_options"`
	MountID       uint64   `json:"mount_id"`
	Connection    uint32   `json:"connection"`
	State         State    `json:"state"`
	Waiting       *int     `json:"waiting"`
	PIDs          []int    `json:"pids"`
	Stopped       bool     `json:"stopped"`
	Blocked       bool     `json:"blocked"`
}

// ListJSON is the list for a program.
func ListJSON(mounts []Mount, fusectl bool) (string, error) {
	d := listDocument{Version: Version, Fusectl: fusectl, Mounts: []mountJSON{}}
	for _, m := range mounts {
		j := mountJSON{
			Mountpoint: m.Mountpoint, MountpointHex: hexOf(m.Mountpoint), Source: m.Source, SourceHex: hexOf(m.Source),
			Type: m.Type, TypeHex: hexOf(m.Type), Owner: m.Owner, OwnerName: orNull(m.OwnerName), OwnerNameHex: hexOf(m.OwnerName),
			Options: list(m.Options), FSOptions: list(m.FSOptions), MountID: m.ID, Connection: m.Connection,
			State: m.State, PIDs: []int{}, Stopped: m.Stopped, Blocked: m.Blocked,
		}
		if m.Waiting >= 0 {
			j.Waiting = &m.Waiting
		}
		for _, p := range m.Daemon {
			j.PIDs = append(j.PIDs, p.PID)
		}
		d.Mounts = append(d.Mounts, j)
	}
	return encode(d)
}

type checkDocument struct {
	Version  int           `json:"version"`
	OK       bool          `json:"ok"`
	Summary  string        `json:"summary"`
	Findings []findingJSON `json:"findings"`
}

type findingJSON struct {
	Level   Level   `json:"level"`
	Subject string  `json:"subject"`
	Text    string  `json:"text"`
	TextHex string  `json:"text_hex,omitempty"`
	Next    *string `json:"next"`
	NextHex string  `json:"next_hex,omitempty"`
}

// CheckJSON is the findings for a program.
func CheckJSON(findings []Finding, f Facts) (string, error) {
	d := checkDocument{Version: Version, OK: !Failed(findings), Summary: Closing(findings, f)}
	for _, f := range findings {
		d.Findings = append(d.Findings, findingJSON{f.Level, f.Subject, f.Text, hexOf(f.Text), orNull(f.Next), hexOf(f.Next)})
	}
	return encode(d)
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// hexOf gives all bytes of a text that is not UTF-8, in which encoding/json replaces
// each wrong byte.
func hexOf(text string) string {
	if utf8.ValidString(text) {
		return ""
	}
	return hex.EncodeToString([]byte(text))
}

// encode writes a document. What could drive a terminal, or make it show other text, is
// escaped as well; such characters occur inside of strings alone.
func encode(document any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(document); err != nil {
		return "", err
	}
	var out bytes.Buffer
	for _, r := range b.String() {
		if r != '\n' && printable.Misleads(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String(), nil
}
