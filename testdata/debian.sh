#!/bin/sh
# Makes a small Debian as a tar file, unless a recent one exists, and prints the file's
# name: sh debian.sh DIR DEB PACKAGE...
# as root. DEBIAN names another release than bookworm. It contains the packages, and the file
# of the package DEB in /root. They come from the sources of this machine.
set -eu
umask 022
release=${DEBIAN:-bookworm}

die() { echo "debian.sh: $*" >&2 && exit 1; }

[ "$(id -u)" = 0 ] || die 'must run as root'
dir=$1 deb=$2
shift 2
tar=$dir/$release-$(echo "$*" | cksum | cut -d ' ' -f 1).tar
if [ -z "$(find "$tar" -mtime -7 2>/dev/null)" ]; then
	sh "$(dirname "$0")/install.sh" mmdebstrap >&2
	mkdir -p "$dir"
	rm -f "$dir/$release"-*.tar # of other packages, or old
	# shellcheck disable=SC2016 # in the words of apt
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' \
		'Component: main' | grep -v security | head -n 1)
	[ -n "$mirror" ] || die "apt's sources have no release of Debian, which is needed for this test"
	mmdebstrap --quiet --variant=minbase --include="$(echo "$*" | tr ' ' ,)" \
		--customize-hook="cd \"\$1/root\" && APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get -qq -o APT::Sandbox::User=root download $deb" \
		"$release" "${tar%.tar}.new.tar" "deb $mirror $release main" >&2
	mv "${tar%.tar}.new.tar" "$tar"
fi
echo "$tar"
