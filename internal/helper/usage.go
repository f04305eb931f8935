package helper

import (
	"strings"

	"github.com/go-fusermount/fusermount/internal/cmdline"
)

// compatibleWith is the libfuse whose helper this one replaces. Callers take the third
// word of --version, or the first number.
const compatibleWith = "3.19.0"

// staticText is what a mode prints without examining anything.
func staticText(mode cmdline.Mode, version string) string {
	switch mode {
	case cmdline.Version:
		// One word looks like a version. Our own has underscores, so that scripts do not
		// match it.
		return "fusermount3 version: " + compatibleWith + " (go-fusermount " + strings.ReplaceAll(version, ".", "_") + ")\n"
	case cmdline.Features: // bit 0: the new mount API, bit 1: sync-init
		return "0000000000000003\n"
	case cmdline.FeaturesText:
		return "FUSERMOUNT_FEATURE_NEW_MOUNT_API FUSERMOUNT_FEATURE_SYNC_INIT\n"
	}
	return usage
}

const usage = `usage: fusermount3 -u [-z] [-q] MOUNTPOINT
       fusermount3 [-o OPTIONS] MOUNTPOINT

The first form unmounts a FUSE file system that you mounted. The last one
mounts, and is not for people: programs such as sshfs run it, and hand it a
socket on which they get the FUSE device.

 -u, --unmount          unmount MOUNTPOINT
 -z, --lazy             with -u: detach now, clean up when no longer in use
 -q, --quiet            with -u: print no errors
 -o, --options OPTIONS  comma-separated mount options; repeated -o add up
 --auto-unmount         mount nothing: wait until the socket closes, and unmount
                        MOUNTPOINT if its daemon is dead
 --sync-init            send the device first, mount when the caller answers,
                        and report how it went
 --comm-fd N            number of the socket, in place of _FUSE_COMMFD
 --features             print the feature mask as 16 hexadecimal digits
 --features=text        print the names of the features
 -V, --version          print the version
 -h, --help             print this text

What is mounted, what is wrong, and how to end a hung mount: fusectl(1). Mount
options and messages: fusermount3(1). Settings: fuse.conf(5), /etc/fuse.conf.
`
