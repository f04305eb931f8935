#!/bin/sh
# Runs FUSE programs of Debian in containers that have neither capabilities nor a FUSE device, with
# the mount service outside, started by systemd with the units of this project:
#   sh service.sh BUILD HELLO
# as root. BUILD has fusermountd and fusermount3, HELLO is the example on go-fuse. Only packages are
# installed on the machine itself. Everything else happens in private mount and PID namespaces, with
# which all mounts and processes end, and in a cgroup that is removed.
set -eu
umask 022

stage=/mnt # a tmpfs, in the private mount namespace
failed=0

die() { echo "service.sh: $*" >&2 && exit 1; }

# result NAME STATUS: print what the programs in the container have said.
result() {
	sed 's/^/  /' "$stage/$1.out"
	if [ "$2" -eq 0 ]; then
		echo "ok: $1"
	else
		echo "FAILED: $1: exit $2"
		failed=1
	fi
}

# The clients' part, in the container. It ends with 1 if anything fails.
write_inside() {
	cat >"$stage/inside.sh" <<'END'
set -u
bad=0
check() {
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then
		echo "ok: $what"
	else
		echo "FAILED: $what"
		sed 's/^/  /' /tmp/said
		bad=1
	fi
}
grep -q '^CapBnd:.*0000000000000000$' /proc/self/status || echo 'FAILED: there are capabilities'
is() { [ "$1" = "$2" ] || { echo "$1, not $2" && false; }; }
reads() { got=$(cat "$1") && is "$got" "$2"; }
nothing() { ! grep -q " $HOME/m " /proc/self/mountinfo && is "$(ls -A "$HOME/m")" ''; }
ours() { grep " $HOME/m " /proc/self/mountinfo | grep -q "nosuid,nodev.*,user_id=$(id -u),"; }
writes() { echo world >"$1"; }
mkdir "$HOME" && cd "$HOME" && mkdir src m cipher up work && echo hello >src/old
# use NAME TEXT-OF-OLD COMMAND...: mount, read, write where TEXT is not empty, unmount.
use() {
	name=$1 old=$2
	shift 2
	check "$name mounts" timeout 30 "$@"
	check "$name: nosuid, nodev, and the user's" ours
	[ -z "$old" ] || check "$name reads" reads "$old" hello
	[ "$name" = squashfuse ] || [ "$name" = go-fuse ] || check "$name writes" writes m/new
	check "$name unmounts" fusermount3 -u m
	check "$name: nothing is left" nothing
}
printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >ssh && chmod 755 ssh
use bindfs m/old bindfs --no-allow-other src m
use sshfs m/old sshfs -o "ssh_command=$HOME/ssh" "nowhere:$HOME/src" m
use rclone m/old rclone -q mount src m --daemon --vfs-cache-mode writes
mksquashfs src image -quiet -no-progress >/dev/null
use squashfuse m/old squashfuse image m
gocryptfs -init -extpass 'echo secret' -q cipher >/dev/null 2>&1
use gocryptfs '' gocryptfs -nosyslog -extpass 'echo secret' -q cipher m
use fuse-overlayfs m/old fuse-overlayfs -o lowerdir=src,upperdir=up,workdir=work m
/run/hello m >hello.out 2>&1 &
pid=$!
for _ in $(seq 300); do ! ours || break; sleep 0.1; done
use go-fuse '' true
wait "$pid" || { echo 'FAILED: go-fuse ends'; bad=1; }
# What is not allowed is not allowed here.
refused() { # TEXT COMMAND...
	text=$1
	shift
	! said=$("$@" 2>&1) && case $said in *"$text"*) ;; *) echo "$said" && false ;; esac
}
check 'allow_other is refused' refused user_allow_other bindfs src m
check 'what one may not write is no mountpoint' refused 'write access' bindfs --no-allow-other -o nonempty src /usr/share
check 'nothing is left' nothing
exit "$bad"
END
}

# passwd_with NAME UID HOME: a user with a name, in this namespace only.
passwd_with() {
	{ cat /etc/passwd && echo "$1:x:$2:$2::$3:/bin/sh"; } >"$stage/passwd.$1"
	{ cat /etc/group && echo "$1:x:$2:"; } >"$stage/group.$1"
}

# rootfs DIR: a root directory that shows the machine's programs.
rootfs() {
	mkdir -p "$1/usr" "$1/etc" "$1/proc" "$1/sys" "$1/dev" "$1/tmp" "$1/run"
	for name in bin sbin lib lib64; do
		[ ! -e "/$name" ] || ln -s "usr/$name" "$1/$name"
	done
	cp "$stage/passwd.box" "$1/etc/passwd"
	chmod 1777 "$1/tmp"
}

# runc_config USERNS: the configuration of a container (OCI runtime specification).
runc_config() {
	user=
	[ "$1" = no ] || user='{"type":"user"},'
	cat <<-END
		{"ociVersion": "1.0.2", "hostname": "box",
		 "process": {"user": {"uid": 1000, "gid": 1000}, "cwd": "/", "noNewPrivileges": true,
		  "args": ["/bin/sh", "/run/inside.sh"], "env": ["PATH=/usr/bin:/bin", "HOME=/tmp/home"]},
		 "root": {"path": "rootfs", "readonly": true},
		 "mounts": [
		  {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
		  {"destination": "/usr/bin/fusermount3", "type": "bind", "source": "$stage/fusermount3", "options": ["bind", "ro"]},
		  {"destination": "/proc", "type": "proc", "source": "proc"},
		  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
		  {"destination": "/dev/fuse", "type": "bind", "source": "/dev/null", "options": ["bind"]},
		  {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]},
		  {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
		  {"destination": "/run/inside.sh", "type": "bind", "source": "$stage/inside.sh", "options": ["bind", "ro"]},
		  {"destination": "/run/hello", "type": "bind", "source": "$stage/hello", "options": ["bind", "ro"]},
		  {"destination": "/run/fusermount", "type": "bind", "source": "/run/fusermount", "options": ["bind"]}],
		 "linux": {
		  "namespaces": [$user {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"}],
		  "uidMappings": [{"containerID": 0, "hostID": 300000, "size": 65536}],
		  "gidMappings": [{"containerID": 0, "hostID": 300000, "size": 65536}]}}
	END
}

check_runc() { # NAME USERNS
	mkdir "$stage/$1"
	rootfs "$stage/$1/rootfs"
	runc_config "$2" >"$stage/$1/config.json"
	[ "$2" != no ] || sed -i -e '/uidMappings/d' -e '/gidMappings/d' -e 's/{"type": "network"}\],/{"type": "network"}]}}/' "$stage/$1/config.json"
	status=0
	(cd "$stage/$1" && runc --root "$stage/runc" run "$1") >"$stage/$1.out" 2>&1 </dev/null || status=$?
	result "$1" "$status"
}

check_podman() {
	passwd_with pod 4242 "$stage/home"
	echo 'pod:300000:65536' >"$stage/sub"
	for file in passwd group; do mount --bind "$stage/$file.pod" "/etc/$file"; done
	for file in subuid subgid; do
		[ -e "/etc/$file" ] || die "no /etc/$file (package uidmap)"
		mount --bind "$stage/sub" "/etc/$file"
	done
	mkdir "$stage/home" "$stage/xdg"
	rootfs "$stage/podman/rootfs"
	mkdir "$stage/podman/rootfs/run/fusermount"
	touch "$stage/podman/rootfs/run/inside.sh" "$stage/podman/rootfs/run/hello"
	chown -R 4242:4242 "$stage/home" "$stage/xdg" "$stage/podman"
	status=0
	(cd "$stage/home" && exec setpriv --reuid 4242 --regid 4242 --clear-groups \
		env -i "HOME=$stage/home" "XDG_RUNTIME_DIR=$stage/xdg" PATH=/usr/bin:/bin:/usr/sbin:/sbin \
		podman --cgroup-manager=cgroupfs --events-backend=none --log-level=error run --rm --network=none \
		--cgroups=disabled --security-opt no-new-privileges --cap-drop all --user 1000:1000 --read-only \
		--env HOME=/tmp/home --tmpfs /tmp:mode=1777 --volume /usr:/usr:ro \
		--volume "$stage/fusermount3:/usr/bin/fusermount3:ro" --volume /run/fusermount:/run/fusermount \
		--volume /dev/null:/dev/fuse --volume "$stage/inside.sh:/run/inside.sh:ro" \
		--volume "$stage/hello:/run/hello:ro" --rootfs "$stage/podman/rootfs" \
		/bin/sh /run/inside.sh) >"$stage/podman.out" 2>&1 </dev/null || status=$?
	result podman "$status"
}

manager() { systemctl --user --no-pager "$@"; }

# start_manager: systemd as a user's manager, which takes the same units as the system's, and
# root's can do the same with them.
start_manager() {
	mount -t tmpfs -o mode=755 tmpfs /run
	mkdir -p /run/systemd/system "$stage/manager" "$stage/units/systemd/user/fusermountd.service.d"
	cp "$units/fusermountd.socket" "$stage/units/systemd/user"
	sed "s|/usr/sbin/fusermountd|$stage/fusermountd|" "$units/fusermountd.service" >"$stage/units/systemd/user/fusermountd.service"
	export HOME="$stage/manager" XDG_RUNTIME_DIR="$stage/manager" XDG_CONFIG_HOME="$stage/units"
	systemd --user --log-target=console --log-level=err --unit=fusermountd.socket &
	manager=$!
	for _ in $(seq 200); do
		[ ! -S /run/fusermount/socket ] || return 0
		sleep 0.05
	done
	die 'systemd has made no socket'
}

# drop_in TEXT: more settings of the service, which starts again with the next client.
drop_in() {
	printf '[Service]\n%s\n' "$1" >"$stage/units/systemd/user/fusermountd.service.d/test.conf"
	manager daemon-reload
	manager stop fusermountd.service 2>/dev/null
}

# mounts: a user without rights mounts and unmounts, here and in a user namespace.
mounts() {
	as_box timeout 30 bindfs --no-allow-other "$stage/src" "$stage/mnt" &&
		as_box timeout 30 fusermount3 -u "$stage/mnt" &&
		as_box timeout 30 unshare --user --map-current-user --mount sh -c "bindfs --no-allow-other $stage/src $stage/mnt && fusermount3 -u $stage/mnt"
}

as_box() {
	setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs --bounding-set=-all "$@"
}

# check_unit: the unit has no capability too many.
check_unit() {
	status=0
	mkdir "$stage/src" "$stage/mnt"
	chown 1000:1000 "$stage/mnt"
	mount --bind "$stage/fusermount3" /usr/bin/fusermount3 # libfuse wants it there
	all=$(sed -n 's/^CapabilityBoundingSet=//p' "$units/fusermountd.service")
	[ "$(manager show --value -p NoNewPrivileges fusermountd.service)" = yes ] || { echo 'FAILED: its settings' && status=1; }
	drop_in ''
	mounts || { echo 'FAILED: it does not work' && status=1; }
	for name in $all; do
		[ "$name" != CAP_KILL ] || continue # it ends a worker that its client has stopped: TestServiceStopped
		drop_in "CapabilityBoundingSet=~$name"
		! mounts >/dev/null 2>&1 || { echo "FAILED: it works without $name" && status=1; }
		umount -l "$stage/mnt" 2>/dev/null || :
		rm -f "$stage/mnt"/.fuse-*
	done
	drop_in ''
	umount -l /usr/bin/fusermount3
	return "$status"
}

inside() {
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 tmpfs "$stage"
	mknod -m 666 "$stage/fuse" c 10 229
	mount --bind "$stage/fuse" /dev/fuse
	cp "$1/fusermountd" "$1/fusermount3" "$stage"
	cp "$2" "$stage/hello"
	write_inside
	passwd_with box 1000 /tmp/home
	umount -l /sys/fs/cgroup # crun and systemd want one hierarchy
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	start_manager
	status=0
	check_unit >"$stage/unit.out" 2>&1 || status=$?
	result unit "$status"
	check_runc runc no
	check_runc runc-user-namespace yes
	check_podman
	manager exit
	wait "$manager" || die "systemd ended with $?"
	[ "$failed" -eq 0 ]
}

# in_cgroup COMMAND...: in a cgroup namespace with a cgroup of its own, which is removed.
in_cgroup() {
	mount --make-rprivate /
	mount -t cgroup2 cgroup2 "$stage"
	cgroup=$stage/fusermount-service
	mkdir "$cgroup"
	status=0
	sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$cgroup" \
		unshare --cgroup --mount --pid --fork --mount-proc "$@" || status=$?
	find "$cgroup" -depth -type d -exec rmdir {} +
	return "$status"
}

[ "$(id -u)" -eq 0 ] || die 'only root can start these containers'
here=$(dirname "$0")
units=$here/../packaging/systemd
case ${1-} in
--inside)
	inside "$2" "$3"
	exit
	;;
--in-cgroup)
	in_cgroup sh "$0" --inside "$2" "$3"
	exit
	;;
esac
sh "$here/install.sh" fuse3 systemd runc podman crun uidmap catatonit slirp4netns bindfs sshfs openssh-sftp-server \
	rclone squashfuse squashfs-tools gocryptfs fuse-overlayfs
exec unshare --mount sh "$0" --in-cgroup "$1" "$2"
