package diagnose

import (
	"slices"
	"strconv"
	"strings"
)

// State is what is known of the daemon of a mount.
type State string

// The states; the package's documentation says what each one means.
const (
	Alive   State = "alive"
	Dead    State = "dead"
	Hung    State = "hung"
	Unknown State = "unknown"
)

// Mount is one FUSE mount.
type Mount struct {
	Mountpoint, Source, Type string
	Owner                    uint32
	HasOwner                 bool
	OwnerName                string // empty where it is not known
	Options, FSOptions       string // comma-separated
	ID                       uint64 // as mountinfo has it
	Connection               uint32
	State                    State
	Waiting                  int // unless State is Unknown
}

// Sort orders mounts by their mountpoints; of two at one place the upper one
// stays the later.
func Sort(mounts []Mount) {
	slices.SortStableFunc(mounts, func(a, b Mount) int { return strings.Compare(a.Mountpoint, b.Mountpoint) })
}

// ListText is the table of mounts for a terminal of so many columns; 0 means that
// lines may have any length.
func ListText(mounts []Mount, width int) string {
	if len(mounts) == 0 {
		return "no FUSE file system is mounted here\n"
	}
	rows := make([][]string, len(mounts))
	for i, m := range mounts {
		rows[i] = []string{
			m.Mountpoint, m.Source, m.Type, m.owner(), string(m.State),
			strconv.FormatUint(m.ID, 10), strconv.FormatUint(uint64(m.Connection), 10), m.options(),
		}
	}
	return layout(listColumns, rows, width)
}

// listColumns are the columns of the list. What is cut first, where the terminal
// is too narrow, is what matters least.
var listColumns = []column{
	{title: "MOUNTPOINT", least: 20, turn: 3, keepEnd: true},
	{title: "SOURCE", least: 10, turn: 1},
	{title: "TYPE", least: 10, turn: 2},
	{title: "OWNER"},
	{title: "STATE"},
	{title: "ID", right: true},
	{title: "CONN", right: true},
	{title: "OPTIONS", least: 12, turn: 0, mayGo: true},
}

// owner is written as id(1) does it.
func (m Mount) owner() string {
	if !m.HasOwner {
		return "?"
	}
	uid := strconv.FormatUint(uint64(m.Owner), 10)
	if m.OwnerName == "" {
		return uid
	}
	return uid + "(" + m.OwnerName + ")"
}

// options are the mount's own and those of the file system, without what stands
// in another column.
func (m Mount) options() string {
	all := list(m.Options)
	for _, option := range list(m.FSOptions) {
		name, _, _ := strings.Cut(option, "=")
		if name != "user_id" && name != "group_id" && !slices.Contains(all, option) {
			all = append(all, option)
		}
	}
	return strings.Join(all, ",")
}

func list(options string) []string {
	if options == "" {
		return nil
	}
	return strings.Split(options, ",")
}

// ListJSON is the list for a program.
func ListJSON(mounts []Mount, fusectl bool) string {
	var b strings.Builder
	b.WriteString(`{"version":1,"fusectl":` + strconv.FormatBool(fusectl) + `,"mounts":[`)
	for i, m := range mounts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		m.writeJSON(&b)
	}
	b.WriteString("\n]}\n")
	return b.String()
}

func (m Mount) writeJSON(b *strings.Builder) {
	o := startObject(b)
	o.text("mountpoint", m.Mountpoint)
	o.text("source", m.Source)
	o.text("type", m.Type)
	o.numberIf(m.HasOwner, "owner", uint64(m.Owner))
	o.textIf(m.OwnerName != "", "owner_name", m.OwnerName)
	o.texts("options", list(m.Options))
	o.texts("fs_options", list(m.FSOptions))
	o.numberIf(true, "mount_id", m.ID)
	o.numberIf(true, "connection", uint64(m.Connection))
	o.text("state", string(m.State))
	o.numberIf(m.State != Unknown, "waiting", uint64(m.Waiting))
	o.end()
}

// ListHints say what can be done about the mounts of a caller.
func ListHints(mounts []Mount, uid uint32, fusectl bool) (hints []string) {
	ours := func(state State) bool {
		return slices.ContainsFunc(mounts, func(m Mount) bool { return m.State == state && m.belongsTo(uid) })
	}
	if ours(Dead) {
		hints = append(hints, "dead: the daemon is gone; 'fusermount3 -u MOUNTPOINT' takes the mount away")
	}
	if ours(Hung) {
		hints = append(hints, "hung: requests wait for the daemon; 'fusermount3 --abort MOUNTPOINT' ends its connection and takes the mount away")
	}
	if !fusectl && len(mounts) > 0 {
		hints = append(hints, "unknown: "+noFusectl+"; "+MountFusectl)
	}
	return hints
}

// belongsTo says whether a user may do something about a mount.
func (m Mount) belongsTo(uid uint32) bool {
	return uid == 0 || m.HasOwner && m.Owner == uid
}

const noFusectl = "fusectl is not mounted, so nothing tells a dead daemon from a living one"

// MountFusectl is what to do about that.
const MountFusectl = "as root: mount -t fusectl fusectl /sys/fs/fuse/connections"
