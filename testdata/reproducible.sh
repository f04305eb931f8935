#!/bin/sh
# Builds a release twice, from two copies of this source, as different users, in different
# directories and environments, at different times and with separate Go caches, and compares
# every byte; then signs it: sh reproducible.sh
# as root, for the other user.
set -eu
umask 022
cd "$(dirname "$0")/.."

[ "$(id -u)" = 0 ] || { echo 'reproducible.sh: only root can become another user' >&2 && exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
chmod 711 "$work"

# copy DIR: copy the source as it is now, without its history.
copy() {
	mkdir -p "$1"
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp -P --parents -t "$1"
	sed -i 's/^## \[[0-9.]*\] - /## [1.2.3] - /' "$1/CHANGELOG.md"
	mkdir -p "$1/build/bin"
	cp build/bin/nfpm build/bin/cyclonedx-gomod build/bin/sbom "$1/build/bin/"
	find "$1/build/bin" -type f -exec touch -d '2100-01-01' {} + # make does not build them again
}

# release DIR VARIABLE...: make one there.
release() {
	dir=$1
	shift
	(cd "$dir" && "$@" make --no-print-directory release "ARCHES=amd64 armv7" \
		VERSION=1.2.3 SOURCE_DATE_EPOCH=1700000000 >"$work/log" 2>&1) || {
		cat "$work/log" >&2
		exit 1
	}
}

# user COMMAND...: as another user, who may read this machine's Go and its modules.
user() {
	mkdir "$work/go" "$work/mod" "$work/home"
	chown -R 54321:54321 "$work/home" "$work/some"
	# shellcheck disable=SC2016
	unshare -m sh -euc '
		mount --bind "$1" "$3/go"
		mount --bind "$2" "$3/mod"
		work=$3
		shift 3
		umask 077
		exec setpriv --reuid 54321 --regid 54321 --clear-groups env -i PATH="$work/go/bin:/usr/bin:/bin" HOME="$work/home" \
			GOMODCACHE="$work/mod" GOPROXY=off GOFLAGS=-modcacherw TZ=Asia/Tokyo LC_ALL=C.UTF-8 GOAMD64=v3 "$@"
	' sh "$(go env GOROOT)" "$(go env GOMODCACHE)" "$work" "$@"
}

copy "$work/one"
(umask 077 && copy "$work/some/other folder")
find "$work/some" ! -path '*/build/bin/*' -exec touch -d '2001-02-03 04:05:06' {} +
if sh "$work/one/packaging/release.sh" 9.9.9 "$work/one/build/release" amd64 2>"$work/log"; then exit 1; fi
grep "CHANGELOG.md has no heading '## \[9.9.9\] - DATE'" "$work/log"
release "$work/one" env TZ=UTC LC_ALL=C
release "$work/some/other folder" user
diff -r "$work/one/build/release" "$work/some/other folder/build/release"
(cd "$work/one/build/release" && sha256sum --check --quiet SHA256SUMS && ls)
echo 'reproducible: the same bytes twice'
sh testdata/sign.sh "$work/one/build/release"
