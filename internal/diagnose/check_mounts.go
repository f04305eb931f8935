package diagnose

import (
	"fmt"
	"slices"
	"strings"
)

// maxStale bounds how many mounts that are no good are named one by one.
const maxStale = 10

// checkMounts names the caller's mounts that are dead or hung, but for the one
// that is judged as the mountpoint.
func checkMounts(f Facts) (found []Finding) {
	const subject = "mount"
	if f.Fusectl {
		found = append(found, ok("fusectl", "it is mounted: connections can be looked at and aborted"))
	} else {
		found = append(found, warn("fusectl", noFusectl+", and --abort cannot be used", MountFusectl))
	}
	more := 0
	for _, m := range f.Mounts {
		if f.Place != nil && f.Place.Mounted != nil && f.Place.Mounted.ID == m.ID || !m.belongsTo(f.UID) || !m.bad() {
			continue
		}
		if len(found) > maxStale {
			more++
			continue
		}
		found = append(found, warn(subject, m.condition(), m.remedy()))
	}
	if more > 0 {
		found = append(found, warn(subject, fmt.Sprintf("%d more are dead or hung", more), "see 'fusermount3 --list'"))
	}
	return found
}

// closedTo says whether the kernel keeps a user out, without asking the daemon. Of
// root it is not known: a setting of the module may let him in.
func (m Mount) closedTo(uid uint32) bool {
	return uid != 0 && m.HasOwner && m.Owner != uid && !slices.Contains(list(m.FSOptions), "allow_other")
}

func (m Mount) bad() bool { return m.State == Dead || m.State == Hung }

func (m Mount) condition() string {
	what := m.Mountpoint + " is a mount of type " + m.Type
	switch m.State {
	case Dead:
		return what + " whose daemon is gone"
	case Hung:
		return fmt.Sprintf("%s whose daemon does not answer (requests waiting: %d)", what, m.Waiting)
	case Unknown:
		return what + "; whether its daemon lives is not known"
	}
	return what + " whose daemon is alive"
}

func (m Mount) remedy() string {
	switch m.State {
	case Dead:
		return "fusermount3 -u " + shellWord(m.Mountpoint)
	case Hung:
		return AbortCommand(m.Mountpoint)
	}
	return ""
}

// AbortCommand is the command that ends a connection.
func AbortCommand(mountpoint string) string { return "fusermount3 --abort " + shellWord(mountpoint) }

// shellWord writes a name so that a shell takes it for one word.
func shellWord(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%,=", r) || r > 0xa0
	}
	if strings.TrimFunc(name, plain) == "" && name != "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

func checkPlace(f Facts) []Finding {
	const subject = "mountpoint"
	p := f.Place
	switch {
	case p == nil:
		return nil
	case p.Through != nil && p.Through.closedTo(f.UID):
		return []Finding{fail(subject, p.Path+" lies inside the FUSE mount "+p.Through.Mountpoint+" of uid "+p.Through.owner()+", which is closed to you",
			"choose another directory; a mount with allow_other is open to others")}
	case p.Through != nil && p.Through.bad():
		return []Finding{fail(subject, p.Path+" lies inside: "+p.Through.condition(), p.Through.remedy())}
	case p.Through != nil:
		return []Finding{warn(subject, p.Path+" lies inside the FUSE mount "+p.Through.Mountpoint+" and was not looked at: its daemon might hang", "")}
	case p.Mounted != nil:
		return []Finding{checkMounted(f.UID, *p.Mounted)}
	case p.Problem != nil:
		return []Finding{fail(subject, p.Problem.Text, p.Problem.Next)}
	}
	return []Finding{ok(subject, fmt.Sprintf("%s can be mounted over: a %s%s that you may write to", p.Path, p.Kind, p.onFS()))}
}

func (p Place) onFS() string {
	if p.FSName == "" {
		return ""
	}
	return " on " + p.FSName
}

// checkMounted judges a mountpoint on which FUSE is mounted already.
func checkMounted(uid uint32, m Mount) Finding {
	const subject = "mountpoint"
	switch {
	case !m.belongsTo(uid):
		return fail(subject, m.Mountpoint+" is a FUSE mount of uid "+m.owner(), "that user or root can unmount it")
	case m.bad():
		return fail(subject, m.condition(), m.remedy())
	}
	return ok(subject, m.condition())
}
