package helper

import (
	"strings"
)

// compatibleWith is the libfuse whose helper this one stands in for. Callers
// read it from --version: they take the third word, or the first number.
const compatibleWith = "3.19.0"

// versionText is one line with one word that looks like a version. Our own version
// has underscores for dots, so that scripts do not match it.
func versionText(version string) string {
	return "fusermount3 version: " + compatibleWith + " (go-fusermount " + strings.ReplaceAll(version, ".", "_") + ")\n"
}

// The feature mask: bit 0 the new mount API, bit 1 sync-init.
const (
	features     = "0000000000000003\n"
	featuresText = "FUSERMOUNT_FEATURE_NEW_MOUNT_API FUSERMOUNT_FEATURE_SYNC_INIT\n"
)

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
                        and tell him how it went
 --comm-fd N            number of the socket, in place of _FUSE_COMMFD
 --features             print the feature mask as 16 hexadecimal digits
 --features=text        print the names of the features
 -V, --version          print the version
 -h, --help             print this text

What is mounted, what is wrong, and how to end a hung mount: fusectl(1). Mount
options and messages: fusermount3(1). Settings: fuse.conf(5), /etc/fuse.conf.
`
