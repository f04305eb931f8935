package helper

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-fusermount/fusermount/internal/apparmor"
	"github.com/go-fusermount/fusermount/internal/holders"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mtab"
	"github.com/go-fusermount/fusermount/internal/printable"
	"github.com/go-fusermount/fusermount/internal/priv"
)

// maxNamed bounds how many processes or mounts a hint names.
const maxNamed = 5

// busyHint says what keeps a mount busy, as far as the caller may know it, and
// what to do. It is the last thing that the process does: what it looks at, it
// looks at with the caller's rights alone.
func (h *helper) busyHint(e *mount.UnmountError) string {
	const detach = "-z detaches it now and cleans up when it is no longer used"
	if h.report.muted || priv.Shed(priv.DACReadSearch|priv.SysPtrace) != nil {
		return ""
	}
	if inside, err := mtab.Descendants(e.Mount); err == nil && len(inside) > 0 {
		return "mounted inside: " + some(inside, func(m mtab.Entry) string { return m.Mountpoint }) + "; " + detach
	}
	using, err := holders.Of(e.Mount)
	if err != nil || len(using) == 0 {
		return "something still uses it: an open file, a working directory, or a mount inside ('fusectl check " +
			printable.ShellWord(e.Mount.Mountpoint) + "' says whether its daemon hangs); " + detach
	}
	return "used by " + some(using, func(p holders.Process) string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }) + "; " + detach
}

// some names the first of a list.
func some[T any](list []T, name func(T) string) string {
	var names []string
	for item := range slices.Values(list[:min(len(list), maxNamed)]) {
		names = append(names, name(item))
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// profileHint is for a mount that is refused with EACCES: the kernel does not do
// that by itself, but a profile of AppArmor does.
func profileHint() string {
	name, mode := apparmor.Profile()
	if mode != "enforce" && mode != "kill" {
		return ""
	}
	return "the AppArmor profile '" + name + "' confines this program: " + apparmor.Help(name)
}
