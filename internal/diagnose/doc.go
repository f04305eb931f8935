// Package diagnose makes what --list and --check say: facts become findings,
// findings and mounts become text for a terminal or JSON for a program. It is
// pure; package look finds the facts.
//
// # JSON
//
// Both documents are one object with a member "version", now 1. Members are never
// taken away or given another meaning without a higher version; new ones may come,
// so readers pass over what they do not know. Every member is always there, null
// where the value is not known. Order: as below.
//
// A text (mountpoint, source, type, owner_name, text, next) of bytes that are no
// UTF-8 has U+FFFD in place of each wrong byte, and beside it stands a member of the
// same name with "_hex" added, which has all bytes in hexadecimal. This member alone
// is absent where it is not needed.
//
// --list --json:
//
//	version     number
//	fusectl     boolean: whether fusectl is mounted; without it no state is known
//	mounts      array, by mountpoint; of two at one place the upper comes later:
//	  mountpoint  text
//	  source      text, as the daemon chose it
//	  type        text: fuse, fuseblk, fuse.SUBTYPE, fuseblk.SUBTYPE
//	  owner       number: user_id, as the user namespace of the file system has it; or null
//	  owner_name  text: the owner's name in /etc/passwd; or null
//	  options     array of texts: the mount's own
//	  fs_options  array of texts: the file system's
//	  mount_id    number: the first column of /proc/self/mountinfo
//	  connection  number: the directory in /sys/fs/fuse/connections
//	  state       "alive", "dead", "hung" or "unknown"
//	  waiting     number: requests that the daemon has not answered; or null
//
// The states come from fusectl, which shows a connection to its owner and to root.
// No daemon is asked, so none can make --list wait.
//
//	dead     the connection has ended: the daemon is gone, or was cut off. Every
//	         access fails with ENOTCONN until the mount is taken away.
//	hung     requests wait for the daemon, and did so at each look for a fifth of a
//	         second. A daemon that is only busy without a pause looks the same.
//	alive    neither. Whether the daemon would answer the next request is not said.
//	unknown  another user's mount, or there is no fusectl.
//
// --check --json:
//
//	version     number
//	ok          boolean: no finding has the level fail
//	findings    array, in a fixed order of subjects:
//	  level       "ok", "warn" or "fail"
//	  subject     one of the words below
//	  text        text: what was found, in words that may change
//	  next        text: what to do about it, in words that may change; or null
//
// The subjects are device, module, program, privilege, namespace, container,
// seccomp, apparmor, fuse.conf, allow_other, mount_max, fusectl, mount, mountpoint,
// kernel and way. One subject may have several findings or none.
package diagnose
