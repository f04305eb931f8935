#!/bin/sh
# Builds the packages of the distributions from a source tarball, with their own tools and without
# a network:
#   sh recipes.sh FORMAT TARBALL OUT CACHE
# as root. FORMAT is deb (in a Debian with its own Go, kept in CACHE), rpm, arch, apk or nix.
# For apk there is no tool here: a stand-in for abuild calls the functions of the APKBUILD, and
# packs what they make as a tar file. For nix there is no nixpkgs: testdata/nix stands for it,
# and OUT gets the output of the derivation as a tar file, and what the module sets as JSON.
set -eu
umask 022
here=$(realpath "$(dirname "$0")")

die() { echo "recipes.sh: $*" >&2 && exit 1; }

[ "$(id -u)$#" = 04 ] || die 'usage, as root: sh recipes.sh FORMAT TARBALL OUT CACHE'
format=$1 tarball=$(realpath "$2") out=$3 cache=$4
version=${tarball##*/go-fusermount-}
version=${version%.tar.gz}
mkdir -p "$out"
out=$(realpath "$out")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# quietly COMMAND...: its output is of interest if it fails.
quietly() {
	"$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && die "$format: failed"; }
}

# The folder of the recipe, out of the tarball.
recipe() {
	mkdir "$work/$1"
	tar -xzf "$tarball" -C "$work/$1" --strip-components=3 "go-fusermount-$version/packaging/$1"
	chown -R "$user:$user" "$work/$1"
}

# as_builder COMMAND...: as a user without a network, who may read this machine's Go.
user=54321
as_builder() {
	chmod 711 "$work"
	mkdir -p "$work/home" "$cache/go" # Go's cache serves all formats
	chown -R "$user:$user" "$work/home" "$cache/go"
	# shellcheck disable=SC2016
	unshare -m -n sh -euc '
		go=$1 work=$2 user=$3 cache=$4
		shift 4
		mkdir "$work/go" "$work/cache"
		mount --bind "$go" "$work/go"
		mount --bind "$cache" "$work/cache"
		exec setpriv --reuid "$user" --regid "$user" --clear-groups env -i PATH="$work/go/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
			HOME="$work/home" GOCACHE="$work/cache" GOPROXY=off SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" LC_ALL=C.UTF-8 LDFLAGS=-Wl,-z,relro "$@"
	' sh "$(go env GOROOT)" "$work" "$user" "$cache/go" "$@"
}

deb() {
	tar=$(DEBIAN=trixie sh "$here/debian.sh" "$cache/build" fuse3 debhelper golang-go)
	root=$work/root
	mkdir "$root"
	tar -xf "$tar" -C "$root" --exclude=./dev
	mkdir -p "$root/dev" "$root/proc" "$root/build"
	for node in 'null 1 3' 'zero 1 5' 'urandom 1 9'; do
		# shellcheck disable=SC2086
		mknod -m 666 "$root/dev/"${node%% *} c ${node#* }
	done
	cp "$tarball" "$root/build/go-fusermount_$version.orig.tar.gz"
	tar -xzf "$tarball" -C "$root/build"
	cp -r "$root/build/go-fusermount-$version/packaging/debian" "$root/build/go-fusermount-$version/debian"
	chown -R "$user:$user" "$root/build"
	# shellcheck disable=SC2016
	quietly unshare -m -n -p --fork --kill-child sh -euc '
		root=$1 user=$2
		mount -t proc proc "$root/proc"
		exec chroot "$root" setpriv --reuid "$user" --regid "$user" --clear-groups \
			env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/build LC_ALL=C.UTF-8 sh -euc "
				cd /build/go-fusermount-*/
				dpkg-checkbuilddeps -I
				dpkg-buildpackage -d -us -uc -ui
				rm -r /build/go-fusermount-*/"
	' sh "$root" "$user"
	cp "$root"/build/* "$out/"
}

rpm() {
	recipe rpm
	cp "$tarball" "$work/rpm/"
	quietly as_builder rpmbuild -ba --nodeps --define "_topdir $work/home" --define "_sourcedir $work/rpm" "$work/rpm/go-fusermount.spec"
	cp "$work"/home/RPMS/*/*.rpm "$work"/home/SRPMS/*.rpm "$out/"
}

arch() {
	recipe arch
	cp "$tarball" "$work/arch/"
	sum=$(sha256sum "$tarball" | cut -d ' ' -f 1)
	sed -i "s/^sha256sums=(SKIP).*/sha256sums=($sum)/" "$work/arch/PKGBUILD"
	quietly as_builder env --chdir="$work/arch" PACKAGER='somebody <somebody@localhost>' PKGEXT=.pkg.tar.zst makepkg --nodeps --nocolor --noprogressbar
	cp "$work/arch"/*.pkg.tar* "$out/"
}

# As abuild does: the functions of an APKBUILD are called in the source's folder, which is
# $builddir, those of the subpackages with $subpkgdir.
apk() {
	recipe alpine
	cp "$tarball" "$work/alpine/"
	# shellcheck disable=SC2016
	quietly as_builder env --chdir="$work/alpine" fakeroot sh -euc '
		. ./APKBUILD
		for file in $install; do [ -f "$file" ]; done
		srcdir=$PWD/src pkgbase=$PWD/pkg
		mkdir "$srcdir"
		tar -xzf "$pkgname-$pkgver.tar.gz" -C "$srcdir"
		builddir=$srcdir/$pkgname-$pkgver
		for step in build check; do (cd "$builddir" && "$step"); done
		pkgdir=$pkgbase/$pkgname
		(cd "$builddir" && package)
		for sub in $subpackages; do
			case $sub in *:*) ;; *) continue ;; esac # abuild divides those itself
			name=${sub%%:*} function=${sub#*:}
			(subpkgdir=$pkgbase/$name && "${function%%:*}")
		done
		for package in "$pkgbase"/*; do
			tar -cf "${package##*/}-${pkgver}_x86_64.apk" -C "$package" --owner=0 --group=0 .
		done
	'
	cp "$work/alpine"/*.apk "$out/"
}

nix() {
	mkdir "$work/nix"
	tar -xzf "$tarball" -C "$work/nix"
	cp "$here/nix/default.nix" "$work/nix/"
	chown -R "$user:$user" "$work/nix"
	# shellcheck disable=SC2016
	quietly as_builder env --chdir="$work/nix" NIX_STORE_DIR="$work/home/store" NIX_STATE_DIR="$work/home/state" \
		NIX_LOG_DIR="$work/home/log" NIX_CONF_DIR="$work/home" USER=builder sh -euc '
			set -- default.nix --arg packaging "$PWD/$1/packaging" --argstr path "$PATH" --argstr cache "$GOCACHE"
			nix-build --option sandbox false --option build-users-group "" -A package "$@"
			for part in options off wrapper service neither; do
				nix-instantiate --eval --strict --json -A "$part" "$@" >"$part.json"
			done
		' sh "go-fusermount-$version"
	tar -cf "$out/nix.tar" -C "$work/nix/result/" --owner=0 --group=0 .
	for part in options off wrapper service neither; do
		cp "$work/nix/$part.json" "$out/nix-$part.json"
	done
}

case $format in
deb | rpm | arch | apk | nix) "$format" ;;
*) die "the formats are deb, rpm, arch, apk and nix" ;;
esac
