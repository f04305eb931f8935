# shellcheck shell=sh
# The common part of tests on a small Debian: sourced by scripts that run as root in a
# mount and a pid namespace of their own.

stage=/mnt
root=$stage/root
uid=4242
seconds=20
passed=0 failed=0

# in_root COMMAND...: as root of that Debian, for a limited time.
in_root() {
	timeout 120 env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		chroot "$root" "$@"
}

# as_user COMMAND...: as its user, who has no privileges.
as_user() {
	in_root setpriv --reuid "$uid" --regid "$uid" --clear-groups \
		env --chdir=/home/user HOME=/home/user timeout "$seconds" "$@"
}

# check WHAT COMMAND...: print and count whether the command succeeds.
check() {
	what=$1
	shift
	if "$@" >"$stage/said" 2>&1; then
		echo "ok: $what"
		passed=$((passed + 1))
		return
	fi
	echo "FAILED: $what"
	failed=$((failed + 1))
	sed 's/^/  /' "$stage/said"
}

not() { ! "$@"; }

# poll COMMAND...: wait until it succeeds, for a limited time.
poll() {
	deadline=$(($(date +%s) + seconds))
	until "$@"; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

# small_debian CACHE makes it as a tar file, unless it is there, and prints its name.
small_debian() {
	sh "$(dirname "$0")/debian.sh" "$1" fuse3 fuse3 sshfs bindfs openssh-sftp-server apparmor \
		rpm pacman-package-manager bash-completion zsh fish
}

# inside SCRIPT ARG... runs it again in namespaces with which all mounts and processes
# end.
inside() { exec unshare -m --propagation private -p --fork --kill-child --mount-proc sh "$@"; }

# unpack TAR HOLDER: that Debian, with devices, and the program that attacks.
unpack() {
	mount -t tmpfs -o mode=755,size=2g tmpfs "$stage"
	mkdir "$root"
	tar -xf "$1" -C "$root" --exclude=./dev
	mkdir -p "$root/dev" "$root/proc"
	mount -t proc proc "$root/proc"
	for node in 'null 1 3' 'zero 1 5' 'urandom 1 9' 'random 1 8' 'fuse 10 229'; do
		# shellcheck disable=SC2086
		set -- "$1" "$2" $node
		mknod -m 666 "$root/dev/$3" c "$4" "$5"
	done
	cp "$2" "$root/opt/holder"
	chmod 755 "$root/opt/holder"
}

# hold PATH...: the user opens programs, and a second name of each. They must have no
# privileges when worthless is called.
hold() {
	rm -rf "$stage/tell" "$stage/hear" "$root/links"
	mkdir "$root/links"
	for path; do
		ln "$root$path" "$root/links/$(echo "$path" | tr / _)"
	done
	mkfifo "$stage/tell" "$stage/hear"
	(
		cd "$root/links" || exit
		for link in *; do set -- "$@" "/links/$link"; done
		in_root setpriv --reuid "$uid" --regid "$uid" --clear-groups /opt/holder hold "$@"
	) <"$stage/tell" >"$stage/hear" 2>&1 &
	holder=$!
	exec 8>"$stage/tell" 9<"$stage/hear"
	read -r line <&9 && [ "$line" = holding ]
}

# worthless: the held programs give no privileges. Their links are removed then.
worthless() {
	exec 8>&-
	cat <&9
	exec 9<&-
	wait "$holder"
	status=$?
	rm -rf "$root/links"
	return "$status"
}

# privileged PATH: the user may run it with privileges.
privileged() {
	hold "$1"
	worthless
	[ "$status" = 1 ]
}

end() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
