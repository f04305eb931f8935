#!/bin/sh
# Fetches Debian's kernels and AppArmor's parser, and unpacks what a guest needs:
# sh vm-packages.sh DIR
#
# Nothing is installed. apt gets a root directory of its own for each release, so the
# machine's lists and settings stay as they are. Where a kernel cannot be fetched,
# DIR/NAME is missing and DIR/NAME.missing says why.
set -eu
umask 022

mkdir -p "$1"
dir=$(cd "$1" && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "vm-packages.sh: $*" >&2; }

# repository PATTERN: the source from which this machine gets such a release of Debian.
repository() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' \
		'Identifier: Packages' 'Origin: Debian' 'Component: main' |
		awk -v pattern="$1" '$2 ~ pattern { print $1; exit }'
}

# in_release RELEASE PROGRAM ARG...: apt with the packages of that release.
in_release() {
	root=$dir/apt/$1 program=$2
	shift 2
	"$program" -qq -o "Dir::State=$root/state" -o "Dir::Cache=$root/cache" \
		-o "Dir::Etc::SourceList=$root/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none \
		-o APT::Sandbox::User=root "$@"
}

# refresh RELEASE: fetch its lists, once a day. Old lists are used if that fails.
refresh() {
	root=$dir/apt/$1
	mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial"
	printf "deb [arch=amd64 signed-by=$keyring] %s %s main\n" \
		"$main" "$1" ${security:+"$security" "$1-security"} >"$root/wanted"
	if cmp -s "$root/wanted" "$root/sources.list" && [ -n "$(find "$root/updated" -mtime -1 2>/dev/null)" ]; then
		return
	fi
	mv "$root/wanted" "$root/sources.list"
	if in_release "$1" apt-get update; then
		touch "$root/updated"
	elif [ -e "$root/updated" ]; then
		say "the lists of $1 are old"
	else
		return 1
	fi
}

# unpack RELEASE PACKAGE NAME: put what is in the package into DIR/NAME.new,
# unless DIR/NAME has this version already.
unpack() {
	version=$(in_release "$1" apt-cache show --no-all-versions "$2" | sed -n 's/^Version: //p')
	[ -n "$version" ] || return 1
	new=$dir/$3.new
	if [ "$(cat "$dir/$3/version" 2>/dev/null)" = "$2 $version" ]; then
		new=
		return
	fi
	rm -rf "$new"
	mkdir "$new"
	(cd "$new" && in_release "$1" apt-get download "$2" && dpkg-deb -x ./*.deb root && rm ./*.deb) || return 1
	echo "$2 $version" >"$new/version"
}

# finish NAME: DIR/NAME.new is complete.
finish() {
	rm -rf "${new:?}/root" "${dir:?}/$1"
	mv "$new" "$dir/$1"
}

kernel() {
	name=$1 release=$2
	package=$(in_release "$release" apt-cache depends --important "$3" |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
	[ -n "$package" ] || return 1
	unpack "$release" "$package" "$name" || return 1
	[ -n "$new" ] || return 0
	cp "$new"/root/boot/vmlinuz-* "$new/vmlinuz" || return 1
	mkdir "$new/modules"
	find "$new/root" \( -name 'fuse.ko*' -o -name 'loop.ko*' \) -exec cp {} "$new/modules/" \;
	find "$new/modules" -name '*.xz' -exec xz -d {} +
	finish "$name"
}

parser() {
	unpack bookworm apparmor apparmor || return 1
	[ -n "$new" ] || return 0
	cp "$new/root/sbin/apparmor_parser" "$new/" && cp -r "$new/root/etc/apparmor.d" "$new/" || return 1
	finish apparmor
}

# get NAME COMMAND...: note why NAME is missing, if it is.
get() {
	name=$1
	shift
	rm -f "$dir/$name.missing"
	"$@" && return
	say "$name cannot be had"
	rm -rf "${dir:?}/$name" "$dir/$name.new"
	echo "'$*' failed: allow apt-get to reach Debian's packages of that release" >"$dir/$name.missing"
}

# of RELEASE COMMAND...: with fresh lists, unless NAME was made from them.
of() {
	refresh "$1" || return 1
	[ -n "$(find "$dir/$name/made" -newer "$dir/apt/$1/updated" 2>/dev/null)" ] && return
	shift
	"$@" && touch "$dir/$name/made"
}

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || {
	say 'this is no Debian system on amd64'
	exit 1
}
main=$(repository '^[a-z]+$')
if [ -z "$main" ] && [ "$(id -u)" = 0 ]; then # the machine's lists are empty
	apt-get -qq update || :
	main=$(repository '^[a-z]+$')
fi
security=$(repository '-security$')
[ -n "$main" ] || say "apt's sources have no release of Debian: run 'apt-get update'"

get 5.10 of bullseye kernel 5.10 bullseye linux-image-cloud-amd64
get 6.1 of bookworm kernel 6.1 bookworm linux-image-cloud-amd64
get 6.12 of bookworm kernel 6.12 bookworm linux-image-6.12-cloud-amd64
get apparmor of bookworm parser
