package diagnose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-fusermount/fusermount/internal/printable"
)

// State is what is known of the daemon of a mount; package connection defines them.
type State string

// The states.
const (
	Alive   State = "alive"
	Waiting State = "waiting"
	Hung    State = "hung"
	Dead    State = "dead"
	Unknown State = "unknown"
)

// Mount is one FUSE mount.
type Mount struct {
	Mountpoint, Source, Type string
	Owner                    uint32
	OwnerName                string // empty where it is not known
	Options, FSOptions       string // comma-separated
	ID                       uint64
	Connection               uint32
	State                    State
	Waiting                  int      // requests; -1: not known
	Daemon                   []Holder // the processes that hold the device
	Stopped, Blocked         bool     // these
	Users                    []Holder // what keeps the mount busy; for the path of check alone
}

// Sort orders mounts by their mountpoints; of two at one place the upper one stays the
// later.
func Sort(mounts []Mount) {
	slices.SortStableFunc(mounts, func(a, b Mount) int { return strings.Compare(a.Mountpoint, b.Mountpoint) })
}

// listColumns are the columns of the list. MOUNTPOINT and STATE always stay; of the
// others, those with the lowest number go first where a terminal is too narrow.
var listColumns = []column{
	{title: "MOUNTPOINT"},
	{title: "STATE"},
	{title: "TYPE", drop: 6},
	{title: "SOURCE", drop: 5},
	{title: "OWNER", drop: 4},
	{title: "ID", drop: 3, right: true},
	{title: "CONN", drop: 2, right: true},
	{title: "OPTIONS", drop: 1},
}

// ListText is the table of mounts; it is empty without any.
func ListText(mounts []Mount, style Style) string {
	if len(mounts) == 0 {
		return ""
	}
	rows := make([][]string, len(mounts))
	for i, m := range mounts {
		rows[i] = []string{
			m.Mountpoint, string(m.State), m.Type, m.Source, m.owner(),
			strconv.FormatUint(m.ID, 10), strconv.FormatUint(uint64(m.Connection), 10), m.options(),
		}
	}
	return layout(listColumns, rows, style)
}

// owner is written as id(1) does it.
func (m Mount) owner() string { return User(m.Owner, m.OwnerName) }

// User writes a user as id(1) does it.
func User(uid uint32, name string) string {
	text := strconv.FormatUint(uint64(uid), 10)
	if name == "" {
		return text
	}
	return text + "(" + name + ")"
}

// options are the mount's own and those of the file system, without what stands in
// another column.
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
		return []string{}
	}
	return strings.Split(options, ",")
}

// ListHints say what can be done about the mounts of a caller.
func ListHints(mounts []Mount, uid uint32, fusectl bool) (hints []string) {
	ours := func(state State) bool {
		return slices.ContainsFunc(mounts, func(m Mount) bool { return m.State == state && m.belongsTo(uid) })
	}
	if ours(Dead) {
		hints = append(hints, "dead: no daemon serves it any more; 'fusermount3 -u MOUNTPOINT' unmounts it")
	}
	if ours(Hung) {
		hints = append(hints, "hung: the daemon answers no requests; 'fusectl check MOUNTPOINT' says why, and what to do")
	}
	if ours(Waiting) {
		hints = append(hints, "waiting: requests wait for the daemon, which may be slow; 'fusectl check MOUNTPOINT' says more")
	}
	if !fusectl && slices.ContainsFunc(mounts, func(m Mount) bool { return m.State == Unknown }) {
		hints = append(hints, "unknown: "+noFusectl+"; "+MountFusectl)
	}
	return hints
}

// belongsTo says whether a user may do something about a mount.
func (m Mount) belongsTo(uid uint32) bool { return uid == 0 || m.Owner == uid }

const noFusectl = "fusectl is not mounted, so that the kernel does not tell which daemons are alive"

// MountFusectl is what to do about that.
const MountFusectl = "as root: mount -t fusectl fusectl /sys/fs/fuse/connections"

// maxBad bounds how many mounts that are dead or hung are named one by one.
const maxBad = 10

// checkMounts names the caller's mounts that are dead or hung, but for that of the
// path.
func checkMounts(f Facts) (found []Finding) {
	const subject = "mount"
	switch {
	case f.Fusectl:
		found = append(found, ok("fusectl", "it is mounted: the kernel tells about connections, and ends them"))
	case f.Process.Admin:
		found = append(found, note("fusectl", "it is not mounted, which root alone can do without", MountFusectl))
	default:
		found = append(found, warn("fusectl", noFusectl+", and 'fusectl abort' needs root", MountFusectl))
	}
	if f.MountsUnknown != "" {
		return append(found, unknown(subject, "the mount table: "+f.MountsUnknown))
	}
	more := 0
	for _, m := range f.Mounts {
		if p := f.Place; p != nil && p.Mounted != nil && p.Mounted.ID == m.ID || !m.belongsTo(f.UID) || !m.bad() {
			continue
		}
		if len(found) > maxBad {
			more++
			continue
		}
		found = append(found, warn(subject, m.condition(), m.remedy()))
	}
	if more > 0 {
		found = append(found, warn(subject, fmt.Sprintf("%d more are dead or hung", more), "see 'fusectl list'"))
	}
	return found
}

// closedTo says whether the kernel keeps a user out without asking the daemon. Of root
// it is not known: a setting of the module may let root in.
func (m Mount) closedTo(uid uint32) bool {
	return uid != 0 && m.Owner != uid && !slices.Contains(list(m.FSOptions), "allow_other")
}

func (m Mount) bad() bool { return m.State == Dead || m.State == Hung }

func (m Mount) condition() string {
	text := m.Mountpoint + " is a mount of type " + m.Type + " whose daemon"
	if len(m.Daemon) > 0 {
		text += " " + some(m.Daemon)
	}
	switch m.State {
	case Dead:
		text += " is gone"
	case Hung:
		text += " does not answer (requests waiting: " + strconv.Itoa(m.Waiting) + ")"
		switch {
		case m.Stopped:
			text += " and is stopped"
		case m.Blocked:
			text += " and is blocked in the kernel (state D)"
		case len(m.Daemon) > 0:
			text += " and does nothing"
		}
	case Waiting:
		text += " has requests to answer"
		if m.Waiting > 0 {
			text += " (waiting: " + strconv.Itoa(m.Waiting) + ")"
		}
		text += ", and may be slow"
	case Alive:
		text += " is alive"
		if m.Stopped {
			text += ", but stopped"
		}
	default:
		text += " may be alive or not: that is not known"
	}
	if len(m.Users) > 0 {
		text += "; used by " + some(m.Users)
	}
	return text
}

// maxNamed bounds how many processes are named.
const maxNamed = 5

func some(list []Holder) string {
	var names []string
	for _, h := range list[:min(len(list), maxNamed)] {
		name := h.Name
		if h.PID != 0 {
			name += fmt.Sprintf(" (pid %d)", h.PID)
		}
		names = append(names, strings.TrimSpace(name))
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

func (m Mount) remedy() string {
	word := printable.ShellWord(m.Mountpoint)
	abort := "fusectl abort " + word + " ends the connection; what was not yet written is lost"
	switch {
	case m.State == Dead:
		return "fusermount3 -u " + word
	case m.State == Hung && m.Stopped && len(m.Daemon) > 0:
		return fmt.Sprintf("kill -CONT %d lets it go on; otherwise %s", m.Daemon[0].PID, abort)
	case m.State == Hung && len(m.Daemon) > 0:
		return fmt.Sprintf("it may wait for a network or a disk; if it does not recover, end it (kill %d), or %s", m.Daemon[0].PID, abort)
	case m.State == Hung:
		return abort
	case m.State == Waiting:
		return "give it time, and check again"
	case m.Stopped && len(m.Daemon) > 0:
		return fmt.Sprintf("kill -CONT %d lets it go on", m.Daemon[0].PID)
	}
	return ""
}

func checkPlace(f Facts) []Finding {
	const subject = "mountpoint"
	p := f.Place
	switch {
	case p == nil:
		return nil
	case p.Through != nil && p.Through.closedTo(f.UID):
		return []Finding{fail(subject, p.Path+" lies inside the FUSE mount "+p.Through.Mountpoint+" of user "+p.Through.owner()+", which is closed to you",
			"choose another directory; a mount with allow_other is open to others")}
	case p.Through != nil && p.Through.bad():
		return []Finding{fail(subject, p.Path+" lies inside: "+p.Through.condition(), p.Through.remedy())}
	case p.Through != nil:
		return []Finding{warn(subject, p.Path+" lies inside the FUSE mount "+p.Through.Mountpoint+" and was not looked at, because its daemon might hang", "")}
	case p.Mounted != nil:
		return []Finding{checkMounted(f.UID, *p.Mounted)}
	case p.Problem != nil:
		return []Finding{fail(subject, p.Problem.Text, p.Problem.Next)}
	}
	where := p.Path
	if p.Link != "" {
		where = p.Link + " is a link to " + p.Path + ", which"
	}
	on := ""
	if p.FSName != "" {
		on = " on " + p.FSName
	}
	return []Finding{ok(subject, fmt.Sprintf("%s can be mounted over: a %s%s that you may write to", where, p.Kind, on))}
}

// checkMounted judges the FUSE mount on a path.
func checkMounted(uid uint32, m Mount) Finding {
	const subject = "mountpoint"
	switch {
	case !m.belongsTo(uid):
		return fail(subject, m.Mountpoint+" is a FUSE mount of user "+m.owner(), "that user or root can unmount it")
	case m.bad():
		return fail(subject, m.condition(), m.remedy())
	case m.State == Waiting, m.Stopped:
		return warn(subject, m.condition(), m.remedy())
	}
	return ok(subject, m.condition())
}
