#!/bin/sh
# Runs FUSE programs of Debian with our helper as fusermount3:
#   sh clients.sh ABSOLUTE_PATH_OF_HELPER
# as root. fusectl lies beside it. Only packages are installed on the machine itself. Everything else happens
# in private mount and PID namespaces, with which all mounts and processes end.
set -eu
umask 022

stage=/mnt   # a tmpfs, in the private mount namespace
uid=4242     # has no name in /etc/passwd
other=4343   # somebody else
seconds=20   # for every wait
pid=         # the client under test
passed=0 failed=0

die() { echo "clients.sh: $*" >&2 && exit 1; }

# become UID COMMAND...: turn into a user without groups and privileges. With &,
# $! is the command itself.
become() {
	id=$1
	shift
	exec setpriv --reuid "$id" --regid "$id" --clear-groups "$@"
}

# as UID COMMAND...: run it as that user, for a limited time.
as() {
	who=$1
	shift
	(become "$who" timeout "$seconds" "$@")
}

# check WHAT COMMAND...: print and count whether the command succeeds.
check() {
	what=$1
	shift
	if "$@" >"$stage/command.out" 2>"$stage/command.err"; then
		echo "ok: $what"
		passed=$((passed + 1))
		return
	fi
	echo "FAILED: $what"
	failed=$((failed + 1))
	for said in command.out command.err client.err; do
		sed "s/^/  $said: /" "$stage/$said"
	done
}

# poll COMMAND...: wait until it succeeds, for a limited time.
poll() {
	deadline=$(($(date +%s) + seconds))
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

not() { ! "$@"; }
mounted() { cut -d ' ' -f 5 /proc/self/mountinfo | grep -qxF "$1"; }
mounted_or_ended() { mounted "$1" || ended "$pid"; }

# line DIR TYPE: the mount on DIR has that type, nosuid and nodev, and is the user's.
line() {
	awk -v dir="$1" -v type="$2" -v owner=",user_id=$uid," '
	$5 == dir {
		print
		for (i = 7; $i != "-"; i++);
		good = $(i + 1) == type && index("," $6 ",", ",nosuid,") &&
			index("," $6 ",", ",nodev,") && index("," $(i + 3) ",", owner)
	}
	END { exit !good }' /proc/self/mountinfo
}

# ended PID: it is gone, or a zombie.
ended() { ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

# holds PID FILE: it has the file as its standard input.
holds() { [ "$(readlink "/proc/$1/fd/0")" = "$2" ]; }

# reads FILE TEXT: the user finds that text there.
reads() { got=$(as "$uid" cat "$1") && [ "$got" = "$2" ]; }

# writes FILE TEXT: the user can write it.
writes() {
	# shellcheck disable=SC2016
	as "$uid" sh -c 'echo "$2" >"$1"' sh "$1" "$2"
}

# fails TEXT COMMAND...: it exits with 1 and prints the text.
fails() {
	text=$1
	shift
	status=0
	said=$("$@" 2>&1) || status=$?
	echo "exit $status: $said"
	[ "$status" -eq 1 ] && case $said in *"$text"*) ;; *) false ;; esac
}

# folders NAME...: make directories of the user.
folders() { (cd "$stage" && mkdir "$@" && chown "$uid:$uid" "$@"); }

# start DIR TYPE COMMAND...: run a client until its mount is there.
start() {
	dir=$1 type=$2
	shift 2
	become "$uid" "$@" >"$stage/client.out" 2>"$stage/client.err" </dev/null &
	pid=$!
	poll mounted_or_ended "$dir" || :
	check "$1 mounts" mounted "$dir"
	check "$1: type, nosuid, nodev and user_id in mountinfo" line "$dir" "$type"
}

# works NAME DIR BEHIND: read old; write new, which shows in the directory behind.
works() {
	check "$1 reads" reads "$2/old" hello
	check "$1 writes" writes "$2/new" world
	check "$1: the file is in ${3##*/}" reads "$3/new" world
}

# stop DIR NAME: unmount; the client must then end by itself.
stop() {
	check "$2 unmounts" as "$uid" fusermount3 -u "$1"
	check "$2: the mount is gone" not mounted "$1"
	check "$2 ends" poll ended "$pid"
	finish "$1"
}

# finish DIR: leave nothing for the next check, whatever failed.
finish() {
	kill -KILL "$pid" 2>/dev/null || :
	wait "$pid" 2>/dev/null || :
	! mounted "$1" || umount -l "$1"
}

# sftp-server needs a name for its user, so there is an /etc/passwd.
check_sshfs() {
	folders sshfs.dir sshfs.src
	{ cat /etc/passwd && echo "client:x:$uid:$uid::/:/bin/sh"; } >"$stage/passwd"
	mount --bind "$stage/passwd" /etc/passwd
	printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >"$stage/ssh"
	chmod 755 "$stage/ssh"
	echo hello >"$stage/sshfs.src/old"
	d=$stage/sshfs.dir
	start "$d" fuse.sshfs sshfs -f -o "ssh_command=$stage/ssh" "nowhere:$stage/sshfs.src" "$d"
	works sshfs "$d" "$stage/sshfs.src"
	check 'sshfs renames' as "$uid" mv "$d/new" "$d/renamed"
	check 'sshfs: the server has the new name' reads "$stage/sshfs.src/renamed" world
	stop "$d" sshfs
	umount -l /etc/passwd
}

# A healthy sshfs through a line of 2 MB/s, with requests that wait all the time.
check_slow() {
	folders slow.dir slow.src
	mount --bind "$stage/passwd" /etc/passwd # see check_sshfs
	# shellcheck disable=SC2016
	printf '#!/bin/sh\npv -q -L 2m | /usr/lib/openssh/sftp-server\n' >"$stage/ssh"
	head -c 16000000 /dev/zero >"$stage/big"
	mount -t fusectl fusectl /sys/fs/fuse/connections
	d=$stage/slow.dir
	start "$d" fuse.sshfs sshfs -f -o "ssh_command=$stage/ssh" "nowhere:$stage/slow.src" "$d"
	become "$uid" cp "$stage/big" "$d/big" &
	copy=$!
	while not ended "$copy"; do
		as "$uid" "$stage/fusectl" list "$d"
		as "$uid" "$stage/fusectl" check "$d"
	done >"$stage/looks" 2>&1
	check 'a slow sshfs: the copy ends well' wait "$copy"
	check 'a slow sshfs was looked at' grep -q "waiting" "$stage/looks"
	check 'a slow sshfs is never called hung' not grep -i -e hung -e abort -e '^fail' "$stage/looks"
	check 'a slow sshfs: check names its daemon' grep -q "sshfs (pid" "$stage/looks"
	check 'a slow sshfs: check names who uses it' grep -q "used by cp (pid $copy)" "$stage/looks"
	stop "$d" 'a slow sshfs'
	umount -l /sys/fs/fuse/connections
	umount -l /etc/passwd
}

# start_bindfs OPTION...: on libfuse 2 and without a subtype.
start_bindfs() {
	d=$stage/bindfs.dir
	start "$d" fuse bindfs -f --no-allow-other "$@" "$stage/bindfs.src" "$d"
}

check_bindfs() {
	folders bindfs.dir bindfs.src
	echo hello >"$stage/bindfs.src/old"
	start_bindfs
	works bindfs "$d" "$stage/bindfs.src"
	stop "$d" bindfs
}

check_squashfuse() {
	folders squashfuse.dir squashfuse.src
	echo hello >"$stage/squashfuse.src/old"
	mksquashfs "$stage/squashfuse.src" "$stage/image" -quiet -no-progress >/dev/null
	d=$stage/squashfuse.dir
	start "$d" fuse.squashfuse squashfuse -f "$stage/image" "$d"
	check 'squashfuse reads' reads "$d/old" hello
	check 'squashfuse is read-only' not writes "$d/new" world
	stop "$d" squashfuse
}

check_fuse_overlayfs() {
	folders overlay.dir lower upper work
	echo hello >"$stage/lower/old"
	d=$stage/overlay.dir
	start "$d" fuse.fuse-overlayfs fuse-overlayfs -f \
		-o "lowerdir=$stage/lower,upperdir=$stage/upper,workdir=$stage/work" "$d"
	works fuse-overlayfs "$d" "$stage/upper"
	stop "$d" fuse-overlayfs
}

check_trouble() {
	start_bindfs
	check 'another user cannot unmount' fails '' as "$other" fusermount3 -u "$d"
	check 'the mount stays' reads "$d/old" hello
	# shellcheck disable=SC2016
	become "$uid" sh -c 'exec tail -f <"$1"' sh "$d/old" >/dev/null &
	tail=$!
	check 'a file is open' poll holds "$tail" "$d/old"
	check 'an open file: busy' fails 'Device or resource busy' as "$uid" fusermount3 -u "$d"
	check 'the busy mount stays' reads "$d/old" hello
	check 'an open file: -uz unmounts' as "$uid" fusermount3 -uz "$d"
	check '-uz: the mount is gone' not mounted "$d"
	kill "$tail" || :
	wait "$tail" 2>/dev/null || :
	check '-uz: the client ends after the last file is closed' poll ended "$pid"
	finish "$d"
}

check_killed() {
	start_bindfs
	kill -KILL "$pid" || :
	check 'a killed client leaves its mount' mounted "$d"
	check 'a killed client: the mount is dead' poll fails 'not connected' as "$uid" cat "$d/old"
	check 'a killed client: unmounts at once' as "$uid" timeout 5 fusermount3 -u "$d"
	check 'a killed client: the mount is gone' not mounted "$d"
	finish "$d"
	start_bindfs -o auto_unmount
	kill -KILL "$pid" || :
	check 'auto_unmount cleans up after a killed client' poll not mounted "$d"
	finish "$d"
}

# prepare: install the helper, which is open as descriptor 3, and a device for all users.
prepare() {
	mount -t tmpfs -o mode=755 tmpfs "$stage"
	cat <&3 >"$stage/fusermount3" && exec 3<&-
	cat <&4 >"$stage/fusectl" && exec 4<&-
	chmod 755 "$stage/fusectl"
	chmod 4755 "$stage/fusermount3"
	mount --bind "$stage/fusermount3" "$(readlink -f /bin/fusermount3)"
	mknod -m 666 "$stage/fuse" c 10 229
	mount --bind "$stage/fuse" /dev/fuse
	: >"$stage/client.err"
	cd "$stage"
	export HOME=/
}

[ "$(id -u)" = 0 ] || die 'must run as root'
if [ "${1-}" != --inside ]; then
	[ -x "${1-}" ] || die 'usage: sh clients.sh ABSOLUTE_PATH_OF_HELPER'
	sh "$(dirname "$0")/install.sh" fuse3 sshfs openssh-sftp-server bindfs pv \
		squashfuse squashfs-tools fuse-overlayfs util-linux
	[ -c /dev/fuse ] || die 'no /dev/fuse: is the module fuse loaded?'
	exec unshare -m --propagation private -p --fork --kill-child --mount-proc sh "$0" --inside "$1"
fi
exec 3<"$2" 4<"$(dirname "$2")/fusectl"
trap 'exit 1' HUP INT TERM
prepare
check 'our helper is in place' \
	sh -c '/bin/fusermount3 --version | grep "(go-fusermount "'
for part in sshfs slow bindfs squashfuse fuse_overlayfs trouble killed; do
	"check_$part"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
