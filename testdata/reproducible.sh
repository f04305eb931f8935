#!/bin/sh
# Builds a release twice, from two copies of this source, in different directories and
# environments, at different times and with separate Go caches, and compares every byte:
# sh reproducible.sh NFPM SBOM
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# copy DIR: copy the source as it is now, without its history.
copy() {
	mkdir -p "$1"
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$1"
}

# release DIR VARIABLE...: make one there.
release() {
	dir=$1
	shift
	(cd "$dir" && env "$@" make --no-print-directory release "ARCHES=amd64 armv7" \
		VERSION=v1.2.3 SOURCE_DATE_EPOCH=1700000000 "NFPM=$nfpm" "SBOM=$sbom" >"$dir.log" 2>&1) || {
		cat "$dir.log" >&2
		exit 1
	}
}

nfpm=$(realpath "$1") sbom=$(realpath "$2")
copy "$work/one"
(umask 077 && copy "$work/some/other folder")
find "$work/some" -exec touch -d '2001-02-03 04:05:06' {} +
release "$work/one" TZ=UTC LC_ALL=C
(umask 077 && release "$work/some/other folder" TZ=Asia/Tokyo LC_ALL=C.UTF-8 GOAMD64=v3 "GOCACHE=$work/cache")
diff -r "$work/one/build/release" "$work/some/other folder/build/release"
(cd "$work/one/build/release" && sha256sum --check --quiet SHA256SUMS && ls)
# The licences are published with the binaries.
cmp "$work/one/packaging/debian/copyright" "$work/one/build/release/LICENSES"
grep -q '  LICENSES$' "$work/one/build/release/SHA256SUMS"
echo 'reproducible: the same bytes twice'
