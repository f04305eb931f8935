package fusermount

import (
	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/rawfile"
)

// otherAllowed says whether a helper may grant allow_other to the caller, if that
// is asked for. It reads /etc/fuse.conf as the helper does, with the caller's
// rights; the helper still has the last word.
func (m *mounting) otherAllowed() error {
	if !m.r.typed.AllowOther || m.who.uid == 0 {
		return nil
	}
	text, err := rawfile.Text(fuseconf.Path)
	if err != nil {
		return because("allow_other needs the line user_allow_other in "+fuseconf.Path+", which cannot be read: "+err.Error(),
			ErrAllowOther, unix.EPERM)
	}
	settings, err := fuseconf.Parse(text, nil)
	if err != nil || !settings.UserAllowOther {
		return because("allow_other needs the line user_allow_other in "+fuseconf.Path, ErrAllowOther, unix.EPERM)
	}
	return nil
}
