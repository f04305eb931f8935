package helper

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-fusermount/fusermount/internal/cmdline"
	"github.com/go-fusermount/fusermount/internal/fuseconf"
	"github.com/go-fusermount/fusermount/internal/mount"
	"github.com/go-fusermount/fusermount/internal/mountopts"
	"github.com/go-fusermount/fusermount/internal/priv"
	"github.com/go-fusermount/fusermount/internal/signals"
)

// Guest is a request that the mount service has received. The process is its client by now (package
// priv), and the main thread in the client's mount namespace, with this process's own root directory.
type Guest struct {
	UID, GID uint32
	// Owner is the number that the kernel's table shows as the owner of the client's mounts: their
	// uid in the user namespace that owns the mount namespace.
	Owner uint32

	Mode           cmdline.Mode // Mount, Unmount or Watch
	Lazy, SyncInit bool
	Options        mountopts.Options
	Place          *mount.Place
	Device         *mount.Device // opened in another user namespace; nil: in this one
	Comm           int           // the socket on which a FUSE program waits
	Connection     int           // on which Answer answers
	Supervisor     int           // closed by the end of this process, which is then counted no more
	Root           int           // this process's root directory

	Settings *fuseconf.Settings // in place of those of fuse.conf; nil: those
	// Count gives the number of file systems that mount_max limits, if it is below limit.
	Count func(limit int) (int, error)
	// Mounted is told the connection of a new file system, if it is not nil.
	Mounted func(connection uint32) error
	// Proven says whether the client has shown that they may write to the mountpoint.
	Proven func(at *mount.Mountpoint) error
	// Wait is called before a wait for the client.
	Wait func(limit time.Duration) error
	// Watch is called before this process goes on to watch the mount; its error prevents that.
	Watch func() error
	// Answer tells the client how it went. It is called once.
	Answer func(Outcome)

	answered, watching bool
}

// Outcome is the answer to a request.
type Outcome struct {
	Err     error
	Errno   uint32 // 0 if Err is nil
	Hint    string
	Notices []string
}

// Serve carries out one request for a guest, and answers it. No panic escapes it. It must be called
// on the main thread, and once.
func Serve(g *Guest, version string) {
	r := &run{
		version: version, guest: g, report: &reporter{program: "fusermountd", keep: true},
		who: priv.Identity{UID: g.UID, GID: g.GID},
		req: cmdline.Request{Mode: g.Mode, Lazy: g.Lazy, SyncInit: g.SyncInit},
	}
	r.who.Origin.Permitted = uint64(priv.SysAdmin)
	defer func() {
		if p := recover(); p != nil {
			_ = signals.Release() // the answer is more important
			g.answer(r, fmt.Errorf("internal error: %v", p))
		}
	}()
	err := signals.Default()
	if err == nil {
		err = r.dispatch()
	}
	if failed := signals.Release(); failed != nil {
		r.report.warn("warning: " + failed.Error())
	}
	g.answer(r, err)
}

// answer answers, if that has not been done. A client who is gone has the mount, or cannot be told.
func (g *Guest) answer(r *run, err error) {
	if g.answered {
		return
	}
	g.answered = true
	o := Outcome{Notices: r.report.kept}
	if err != nil {
		o.Err, o.Errno, o.Hint = err, uint32(statusOf(err)), r.hint(err)
	}
	if !g.watching {
		g.letGo()
	}
	g.Answer(o)
}

// letGo gives up everything that keeps a mount busy. A client that is answered may unmount at once,
// as after the end of fusermount3, and this process ends a moment later. An error means no more than
// that.
func (g *Guest) letGo() {
	_ = unix.Fchdir(g.Root)
	_ = closeDescriptors(g.Connection, func(fd int) bool { return isPoller(fd) || fd == g.Supervisor })
}

// keeps says which descriptors a watcher needs besides the comm socket. The connection is closed
// with the answer.
func (g *Guest) keeps(fd int) bool {
	parent, _ := g.Place.Parent()
	return fd == parent || fd == g.Connection
}
