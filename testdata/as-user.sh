#!/bin/sh
# Runs 'make test' as an ordinary user would, in a copy of the tree:
#   sh testdata/as-user.sh
# as root. Tests that need more privileges are skipped. Committed files are copied, with
# the changes of files that git tracks.
set -eu
umask 022
cd "$(dirname "$0")/.."

die() { echo "as-user.sh: $*" >&2 && exit 1; }

# inside: the rest, in a mount namespace with which all mounts end.
inside() {
	dir=$1 uid=$2
	# A home of root's is closed to others, and the tools may lie in it.
	mount --bind "$(go env GOROOT)" "$dir/go"
	mount --bind "$(go env GOMODCACHE)" "$dir/mod"
	mount -o remount,bind,ro "$dir/go"
	mount -o remount,bind,ro "$dir/mod"
	# The machine's own device may be closed, and the directory be mounted nodev.
	mount -t tmpfs -o mode=755 tmpfs "$dir/dev"
	mknod -m 666 "$dir/dev/fuse" c 10 229
	mount --bind "$dir/dev/fuse" /dev/fuse
	cd "$dir/tree"
	setpriv --reuid "$uid" --regid "$uid" --clear-groups \
		env -i PATH="$dir/go/bin:$PATH" HOME="$dir/home" TMPDIR="$dir/tmp" GOCACHE="$dir/home/cache" \
		GOMODCACHE="$dir/mod" GOPROXY=off GOTOOLCHAIN=local make test
}

if [ "${1-}" = inside ]; then
	inside "$2" "$3"
	exit
fi

[ "$(id -u)" = 0 ] || die "only root can become somebody else; an ordinary user calls 'make test'"
[ -c /dev/fuse ] || die "there is no /dev/fuse to mount another over"
go mod download
(cd tools && go mod download) # meanwhile nothing can be fetched

uid=54000
while getent passwd "$uid" || getent group "$uid"; do uid=$((uid + 1)); done >/dev/null

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$dir"
mkdir "$dir/go" "$dir/mod" "$dir/dev" "$dir/home" "$dir/tmp"
git clone -q --no-hardlinks . "$dir/tree"
git diff --binary HEAD | git -C "$dir/tree" apply --allow-empty
chown -R "$uid:$uid" "$dir/tree" "$dir/home" "$dir/tmp"
unshare -m --propagation private sh "$PWD/testdata/as-user.sh" inside "$dir" "$uid"
