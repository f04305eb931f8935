#!/bin/sh
# Makes the packages of one architecture, in the formats of systems that exist
# for it: sh packages.sh ARCH HELPER OUT VERSION, in the module's root, with nfpm
# as $NFPM. All files get the time SOURCE_DATE_EPOCH.
set -eu
umask 022
export SOURCE_DATE_EPOCH

arch=$1 helper=$2 out=$3 version=$4
stage=build/stage/$arch

# package_version FORMAT gives the number of a release. What is no release yet is
# older than the next one, and its packages are ordered by their time.
package_version() {
	number=$(echo "$version" | sed -n 's/^v\{0,1\}\([0-9]*\.[0-9]*\.\)\([0-9]*\).*/\1 \2/p')
	if [ -n "$number" ] && [ "${number%% *}${number##* }" = "${version#v}" ]; then
		echo "${version#v}"
		return
	fi
	case $1 in
	apk) before=_git ;;
	archlinux) before=git ;;
	*) before='~git' ;;
	esac
	# shellcheck disable=SC2086 # "1.2." and "3"
	set -- ${number:-0.0. 0}
	echo "$1$(($2 + 1))$before$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)"
}

changelog() {
	echo "go-fusermount ($(package_version deb)-1) unstable; urgency=medium"
	printf '\n  * See the file CHANGELOG.md of the source.\n\n'
	echo " -- $maintainer  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

formats() {
	echo deb
	case $arch in mips64le) ;; *) printf 'rpm\napk\n' ;; esac
	case $arch in amd64 | arm64 | armv7) echo archlinux ;; esac
}

# What nfpm.yaml asks for.
export STAGE="$stage"
case $arch in
armv7) export PACKAGE_ARCH=arm7 ;;
*) export PACKAGE_ARCH="$arch" ;;
esac

# config FORMAT is nfpm.yaml, with scripts that have the time of the release. The
# first line of the description is the summary; in an .rpm that has a place of its own.
config() {
	sed "s|packaging/scripts/|$stage/|" packaging/nfpm.yaml |
		case $1 in
		rpm) sed '/^description:/{n;d;}' ;;
		*) cat ;;
		esac
}

sh packaging/check-helper.sh "$helper"
maintainer=$(sed -n 's/^maintainer: //p' packaging/nfpm.yaml)
mkdir -p "$out"
rm -rf "$stage"
mkdir -p "$stage"
cp "$helper" "$stage/fusermount3"
cp "${helper%/*}/fusectl" "$stage/fusectl" # it lies beside the helper
gzip -9nc packaging/man/fusectl.1 >"$stage/fusectl.1.gz"
gzip -9nc packaging/man/fusermount3.1 >"$stage/fusermount3.1.gz"
gzip -9nc packaging/man/fuse.conf.5 >"$stage/fuse.conf.5.gz"
cp packaging/scripts/* "$stage/"
touch -d "@$SOURCE_DATE_EPOCH" "$stage"/*-old
changelog | gzip -9nc >"$stage/changelog.Debian.gz"
formats | while read -r format; do
	config "$format" >"$stage/nfpm.yaml"
	PACKAGE_VERSION=$(package_version "$format") "$NFPM" package \
		--config "$stage/nfpm.yaml" --packager "$format" --target "$out/"
done
