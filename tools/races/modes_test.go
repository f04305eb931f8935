package races

import (
	"slices"
	"strings"
	"time"

	"github.com/go-fusermount/fusermount/internal/fusetest"
	"github.com/go-fusermount/fusermount/internal/fusetest/helpertest"
)

// mode is one way through the helper.
type mode struct {
	name     string
	args     []string // before the mountpoint
	call     fusetest.Call
	from     string                       // the call from which on attacks are tried
	mount    bool                         // alice has a mount to begin with
	dead     bool                         // its daemon is dead
	fails    bool                         // the helper exits 1
	byName   bool                         // it has to unmount by a name
	onlyLast bool                         // is like another mode: one component shows what differs
	talk     func(p *fusetest.Proc) error // what the caller does meanwhile
}

// tooLong is how a caller himself has the helper go the way of mount(2).
var tooLong = "fsname=" + strings.Repeat("x", 300)

var noSocket = fusetest.Call{Socket: fusetest.NoSocket}

var modes = []mode{
	{name: "mount"},
	{name: "mount by mount(2)", args: []string{"-o", tooLong}},
	{name: "mount by mount(2), table as text", onlyLast: true, call: fusetest.Call{Deny: slices.Concat(helpertest.NoFsopen, helpertest.NoStatmount)}},
	{name: "failed send", call: fusetest.Call{HangUp: true}, fails: true},
	{name: "failed send, mount(2)", onlyLast: true, args: []string{"-o", tooLong}, call: fusetest.Call{HangUp: true}, fails: true},
	{name: "sync-init", args: []string{"--sync-init"}, talk: answer},
	{name: "-u", args: []string{"-u"}, call: noSocket, mount: true, byName: true},
	{name: "-u, table as text", onlyLast: true, args: []string{"-u"}, call: fusetest.Call{Socket: fusetest.NoSocket, Deny: helpertest.NoStatmount}, mount: true, byName: true},
	{name: "-u -z", args: []string{"-u", "-z"}, call: noSocket, mount: true},
	{name: "-u -z, table as text", onlyLast: true, args: []string{"-u", "-z"}, call: fusetest.Call{Socket: fusetest.NoSocket, Deny: helpertest.NoStatmount}, mount: true},
	{name: "auto_unmount", args: []string{"-o", "auto_unmount"}, from: "recvfrom", talk: die},
	{name: "auto_unmount, table as text", onlyLast: true, args: []string{"-o", "auto_unmount"}, call: fusetest.Call{Deny: helpertest.NoStatmount}, from: "recvfrom", talk: die},
	{name: "--auto-unmount", args: []string{"--auto-unmount"}, mount: true, dead: true, talk: hangUp},
}

// answer is a caller of sync-init who serves the device, and says so.
func answer(p *fusetest.Proc) error {
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil || got.Dev == nil {
		return err
	}
	if err := p.Send([]byte{0}); err != nil {
		return err
	}
	return got.Dev.Close()
}

// die is a daemon that is killed: all that it held is closed.
func die(p *fusetest.Proc) error {
	got, err := p.Receive(time.Now().Add(fusetest.Patience))
	if err != nil {
		return err
	}
	if got.Dev != nil {
		if err := got.Dev.Close(); err != nil {
			return err
		}
	}
	return p.CloseSocket()
}

func hangUp(p *fusetest.Proc) error { return p.CloseSocket() }
