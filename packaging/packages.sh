#!/bin/sh
# Makes the packages of one architecture, in the formats of systems that exist for it:
#   sh packages.sh ARCH HELPER OUT VERSION SOURCE
# in the module's root, with nfpm as $NFPM, and rpmbuild if it is there. fusectl and
# fusermountd lie beside HELPER. SOURCE is the tarball of dist.sh, for rpmbuild. All files get
# the time SOURCE_DATE_EPOCH.
set -eu
umask 022
export SOURCE_DATE_EPOCH LC_ALL=C

arch=$1 helper=$2 out=$3 version=$4 source=$5
stage=build/stage/$arch

# package_version FORMAT gives the number of a release. What is no release yet is
# older than the next one, and its packages are ordered by their time.
package_version() {
	case $version in
	*-dev*) ;;
	*) echo "$version" && return ;;
	esac
	case $1 in
	apk) before=_git ;;
	archlinux) before=git ;;
	*) before='~git' ;;
	esac
	echo "${version%%-dev*}$before$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)"
}

changelog() {
	echo "go-fusermount ($(package_version deb)-1) unstable; urgency=medium"
	printf '\n  * See /usr/share/doc/go-fusermount/changelog.gz.\n\n'
	echo " -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
}

formats() {
	echo deb
	case $arch in mips64le) ;; *) echo apk ;; esac
	case $arch in amd64 | arm64 | armv7) echo archlinux ;; esac
}

# staged FORMAT fills the directory $STAGE with what the packages of it contain. Debian's
# dpkg-statoverride has the last word on the mode of the helper, so there the script postinst
# sets it.
staged() {
	export STAGE="$stage/$1"
	layout=$1 sbin=/usr/sbin mode=setuid
	case $1 in
	archlinux) layout=arch sbin=/usr/bin ;;
	deb) mode=none ;;
	esac
	DESTDIR=$PWD/$STAGE/from PREFIX=/usr SYSCONFDIR=/etc SBINDIR=$sbin MODE=$mode UDEV=no \
		sh packaging/install.sh install "$helper" 2>"$STAGE.log" || { cat "$STAGE.log" >&2 && return 1; }
	sh packaging/layout.sh "$layout" "$STAGE/from" "$STAGE"
	if [ "$1" = deb ]; then
		changelog | gzip -9nc >"$STAGE/changelog"
		for name in go-fusermount go-fusermountd; do
			install -m 0644 "$STAGE/changelog" "$STAGE/$name/usr/share/doc/$name/changelog.Debian.gz"
			mkdir -p "$STAGE/$name/usr/share/lintian/overrides"
			install -m 0644 "packaging/debian/$name.lintian-overrides" "$STAGE/$name/usr/share/lintian/overrides/$name"
		done
	fi
	# Scripts get the time that they have here.
	cp -L packaging/alpine/*.p* "$STAGE/"
	for script in packaging/debian/go-*.p*; do
		sed '/^#DEBHELPER#$/d' "$script" >"$STAGE/deb.${script##*/}"
	done
	sed -n '/^pre_remove() {/,/^}/{/[{}]$/d;p;}' packaging/arch/go-fusermount.install >"$STAGE/pre_remove"
	touch -d "@$SOURCE_DATE_EPOCH" "$STAGE"/*
}

# config PACKAGE is its configuration of nfpm, with those scripts and its files.
config() {
	case $1 in
	go-fusermount) file=packaging/nfpm.yaml ;;
	*) file=packaging/nfpm-service.yaml ;;
	esac
	sed "s|packaging/alpine/|$STAGE/|; s|packaging/arch/|$STAGE/|; s|packaging/debian/|$STAGE/deb.|" "$file"
	printf '\ncontents:\n'
	find "$STAGE/$1" ! -type d | sort | while read -r path; do
		if [ -L "$path" ]; then
			echo "  - {src: $(readlink "$path"), dst: ${path#"$STAGE/$1"}, type: symlink}"
		else
			echo "  - {src: $path, dst: ${path#"$STAGE/$1"}, file_info: {mode: 0$(stat -c %a "$path")}}"
		fi
	done
}

# rpms makes them with the programs that are built already.
rpms() {
	case $arch in
	amd64) target=x86_64 ;;
	arm64) target=aarch64 ;;
	armv7) target=armv7hl ;;
	386) target=i686 ;;
	loong64) target=loongarch64 ;;
	*) target=$arch ;;
	esac
	source_version=${source##*/go-fusermount-}
	source_version=${source_version%.tar.gz}
	top=$(mktemp -d) # rpmbuild fails where there is a blank in a path
	trap 'rm -rf "$top"' EXIT
	cp "$source" packaging/rpm/go-fusermount.spec "$helper" "${helper%/*}/fusectl" "${helper%/*}/fusermountd" "$top/"
	rpmbuild -bb --quiet --nodeps --target "$target-linux" --define "_topdir $top" \
		--define "_sourcedir $top" --define "_rpmdir $top/out" --define "_tmppath $top" \
		--define "source_version $source_version" --define "rpm_version $(package_version rpm)" \
		--define "prebuilt $top/${helper##*/}" \
		"$top/go-fusermount.spec" >"$top/log" 2>&1 || { cat "$top/log" >&2 && return 1; }
	cp "$top/out"/*/*.rpm "$out/"
}

sh packaging/check-helper.sh "$helper"
maintainer=$(sed -n 's/^maintainer: //p' packaging/nfpm.yaml)
case $arch in
armv7) export PACKAGE_ARCH=arm7 ;;
*) export PACKAGE_ARCH="$arch" ;;
esac
rm -rf "$stage"
mkdir -p "$out" "$stage"
formats | while read -r format; do
	staged "$format"
	for name in go-fusermount go-fusermountd; do
		config "$name" >"$STAGE/$name.yaml"
		PACKAGE_VERSION=$(package_version "$format") "$NFPM" package \
			--config "$STAGE/$name.yaml" --packager "$format" --target "$out/"
	done
done
case $arch in
mips64le) ;;
*)
	if command -v rpmbuild >/dev/null; then
		rpms
	else
		echo 'packages.sh: no .rpm is made without rpmbuild: apt-get install rpm' >&2
		[ "${FUSERMOUNT_TEST_NOSKIP-}" != 1 ]
	fi
	;;
esac
