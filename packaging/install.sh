#!/bin/sh
# Installs the helper and what this folder holds for it, or takes it away again:
#   sh install.sh install HELPER
# where fusectl and fusermountd lie beside HELPER, or
#   sh install.sh uninstall
# with DESTDIR, PREFIX, SYSCONFDIR, SBINDIR, MODE (setuid, caps, or none: no
# privileges) and UDEV (yes or no) in the environment, as "make install" sets them. Without root it can fill a DESTDIR.
# A program that is replaced or removed loses its privileges, for users who hold a
# descriptor of it or a hard link to it as well.
# shellcheck disable=SC3013 # every shell of Linux has -ef
set -eu
umask 022
export LC_ALL=C # for what is read from package managers

say() { echo "install.sh: $*" >&2; }
die() { say "$*" && exit 1; }

# files: what belongs to the program, and is replaced and removed with it.
files() {
	cat <<-END
		man/fusermount3.1 $PREFIX/share/man/man1/fusermount3.1
		man/fusectl.1 $PREFIX/share/man/man1/fusectl.1
		man/fuse.conf.5 $PREFIX/share/man/man5/fuse.conf.5
		man/fusermountd.8 $PREFIX/share/man/man8/fusermountd.8
		completions/fusermount3.bash $PREFIX/share/bash-completion/completions/fusermount3
		completions/_fusermount3 $PREFIX/share/zsh/site-functions/_fusermount3
		completions/fusermount3.fish $PREFIX/share/fish/vendor_completions.d/fusermount3.fish
		completions/fusectl.bash $PREFIX/share/bash-completion/completions/fusectl
		completions/_fusectl $PREFIX/share/zsh/site-functions/_fusectl
		completions/fusectl.fish $PREFIX/share/fish/vendor_completions.d/fusectl.fish
		schema/fusectl.schema.json $PREFIX/share/go-fusermount/fusectl.schema.json
		modules-load/fusermount.conf $PREFIX/lib/modules-load.d/fusermount.conf
		systemd/fusermountd.socket $PREFIX/lib/systemd/system/fusermountd.socket
		systemd/fusermountd.service $PREFIX/lib/systemd/system/fusermountd.service
		debian/copyright $PREFIX/share/doc/fusermount/copyright
	END
	for doc in README COMPAT SECURITY CHANGELOG; do
		echo "../$doc.md $PREFIX/share/doc/fusermount/$doc.md"
	done
	[ "$UDEV" = no ] || echo "$rule $PREFIX/lib/udev/rules.d/${rule#*/}"
}

# links: what has the older name of the program, beside what they lead to.
links() {
	cat <<-END
		fusermount3 $PREFIX/bin/fusermount
		fusermount3.1 $PREFIX/share/man/man1/fusermount.1
		fusermount3.fish $PREFIX/share/fish/vendor_completions.d/fusermount.fish
	END
}

# settings: what belongs to the administrator, and is touched only as long as
# nobody has changed it.
settings() {
	cat <<-END
		fuse.conf $SYSCONFDIR/fuse.conf
		apparmor/fusermount3 /etc/apparmor.d/fusermount3
	END
}

# text FILE prints it with the paths of this installation.
text() {
	conf="s|/etc/\(fuse[a-z]*\.conf\)|$SYSCONFDIR/\1|g"
	case $1 in
	apparmor/*) sed "s|/usr/bin/fusermount|$PREFIX/bin/fusermount|g; $conf" "$1" ;;
	systemd/*) sed "s|/usr/sbin/fusermountd|$SBINDIR/fusermountd|; $conf" "$1" ;;
	man/*) sed "$conf" "$1" ;;
	*) cat "$1" ;;
	esac
}

unchanged() { text "$1" | cmp -s - "$2"; }

# package_of FILE prints the package that has installed it on this system, if one
# has. A package may know the file by its name without /usr. A diversion tells whose
# the place is: that of the administrator makes it free.
package_of() {
	[ -z "$DESTDIR" ] || return 0
	case $1 in
	/usr/*) other=${1#/usr} ;;
	*) other=/usr$1 ;;
	esac
	[ "${1%/*}" -ef "${other%/*}" ] || other=
	{
		set +e
		for path in "$1" ${other:+"$other"}; do
			diverter=$(dpkg-divert --listpackage "$path")
			case $diverter in
			LOCAL) ;;
			?*) echo "$diverter" ;;
			*) dpkg-query --search "$path" ;;
			esac
		done
		name=$(rpm --query --file --queryformat '%{NAME}\n' "$1") && echo "$name"
		apk info --quiet --who-owns "$1"
		pacman --query --quiet --owns "$1"
	} 2>/dev/null | sed 's/:.*//;q'
}

# folder DIR makes it with its parents. finish records what was made.
folder() {
	if [ -z "$1" ] || [ -d "$1" ]; then return; fi
	folder "${1%/*}"
	[ ! -d "$1" ] || return 0 # "a//b"
	mkdir "$1"
	made="$made$1
"
}

# put MODE FROM TO
put() {
	folder "${3%/*}"
	if [ "$(id -u)" = 0 ]; then
		install -o root -g root -m "$1" "$2" "$3"
	else
		install -m "$1" "$2" "$3"
	fi
}

# put_text FROM TO
put_text() {
	put 0644 "$1" "$2"
	text "$1" >"$2"
}

# disarm FILE makes a program useless to users. A change of the owner, even to the
# same one, clears file capabilities.
disarm() { chmod 0600 "$1" && chown "$(id -u)" "$1"; }

# retire FILE disarms and removes it. What could not be disarmed stays in sight.
retire() {
	if [ -f "$1" ] && [ ! -L "$1" ]; then
		disarm "$1" || return
	fi
	rm -f "$1"
}

# old FILE is a second name for it while it is being replaced.
old() { echo "${1%/*}/.${1##*/}.old"; }

# retire_old FILE removes the second name, and disarms what has no other.
retire_old() {
	if [ "$(old "$1")" -ef "$1" ]; then
		rm -f "$(old "$1")"
	else
		retire "$(old "$1")"
	fi
}

# replace FILE puts $new in its place in one step: users who unmount meanwhile have
# the old helper or the new one, and never one without its privileges. Only then
# is the old one disarmed.
replace() {
	[ ! -d "$1" ] || die "$1 is a directory"
	target=$1
	retire_old "$target" # of an installation that was killed
	if [ -f "$target" ] && [ ! -L "$target" ]; then
		ln "$target" "$(old "$target")" 2>/dev/null || disarm "$target"
	fi
	mv -f "$new" "$target"
	state="$target is new, but users may still hold the old one, which has its privileges"
	retire_old "$target"
	state="$bin/fusermount3 is new, but not all other files are"
}

# privilege FILE gives it what the helper needs, or says what only root can do.
privilege() {
	case $MODE:$(id -u) in
	setuid:0) chmod 4755 "$1" ;;
	setuid:*)
		chmod 4755 "$1"
		say "only root can make it root's: 'chown root:root $bin/fusermount3', then 'chmod 4755 $bin/fusermount3'"
		;;
	caps:0) setcap cap_sys_admin+ep "$1" ;;
	caps:*) say "only root can run 'setcap cap_sys_admin+ep $bin/fusermount3'" ;;
	esac
}

put_helper() {
	new=$bin/.fusermount3.new
	retire "$new" # of an installation that was killed
	put 0755 "$1" "$new"
	privilege "$new"
	replace "$bin/fusermount3"
}

put_link() {
	new=${2%/*}/.${2##*/}.new
	folder "${2%/*}"
	ln -sfn "$1" "$new"
	replace "$2"
}

# finish runs at the end, whether it is a good one or not.
finish() {
	status=$?
	set +e
	trap - EXIT
	[ -z "$new" ] || retire "$new"
	[ -z "$target" ] || retire_old "$target"
	if [ -n "$made" ] && [ -z "$DESTDIR" ]; then
		printf '%s' "$made" >>"$record" || status=1
	fi
	[ "$status" = 0 ] || say "stopped by an error: $state"
	exit "$status"
}

install_all() {
	state='no file was replaced'
	folder "${record%/*}" # first, so that finish can write
	put_helper "$1"
	put 0755 "${1%/*}/fusectl" "$bin/fusectl"
	put 0755 "${1%/*}/fusermountd" "$service"
	while read -r from to; do put_text "$from" "$DESTDIR$to"; done <<-END
		$(files)
	END
	while read -r to link; do put_link "$to" "$DESTDIR$link"; done <<-END
		$(links)
	END
	while read -r from to; do put_setting "$from" "$DESTDIR$to"; done <<-END
		$(settings)
	END
}

put_setting() {
	if [ -e "$2" ] || [ -L "$2" ]; then
		unchanged "$1" "$2" || say "$2 is there already, and stays as it is"
	elif [ -n "$DESTDIR" ] || [ -d "${2%/*}" ]; then # no profile where there is no AppArmor
		put_text "$1" "$2"
	fi
}

uninstall_all() {
	state='no file was removed'
	retire "$bin/.fusermount3.new"
	retire_old "$bin/fusermount3"
	retire "$bin/fusermount3"
	remove "$bin/fusectl"
	remove "$service"
	state="$bin/fusermount3 is removed, but not all other files are"
	while read -r to link; do
		[ "$(readlink "$DESTDIR$link")" != "$to" ] || remove "$DESTDIR$link"
	done <<-END
		$(links)
	END
	while read -r _ to; do remove "$DESTDIR$to"; done <<-END
		$(files)
	END
	while read -r from to; do remove_setting "$from" "$DESTDIR$to"; done <<-END
		$(settings)
	END
	remove_folders
}

# remove FILE, unless it is a package's by now.
remove() {
	[ -e "$1" ] || [ -L "$1" ] || return 0
	package=$(package_of "$1")
	if [ -n "$package" ]; then
		say "$1 belongs to the package $package, and stays"
	else
		rm -f "$1"
	fi
}

remove_setting() {
	if [ ! -e "$2" ]; then
		return
	elif unchanged "$1" "$2"; then
		remove "$2"
	elif [ -z "$(package_of "$2")" ]; then
		say "$2 is not as it is installed from here, and stays"
	fi
}

# remove_folders removes those that the installation made, if they are empty.
remove_folders() {
	if [ -f "$record" ]; then
		made=$(sed '1!G;h;$!d' "$record") # the last first
		rm -f "$record"
	fi
	while read -r dir; do rmdir "$dir" 2>/dev/null || :; done <<-END
		$made
		${record%/*}
	END
	made=
}

# refuse_package FILE WAY dies if it is a package's, and tells what to do instead.
refuse_package() {
	if [ ! -e "$1" ] && [ ! -L "$1" ]; then return; fi
	package=$(package_of "$1")
	[ -z "$package" ] || die "$1 belongs to the package $package: $2"
}

case $MODE in
setuid | caps | none) ;;
*) die 'MODE is setuid, caps or none' ;;
esac
UDEV=${UDEV:-yes} SBINDIR=${SBINDIR:-$PREFIX/sbin}
case $UDEV in
yes | no) ;;
*) die 'UDEV is yes or no' ;;
esac
case $PREFIX:$SYSCONFDIR:$SBINDIR in
/*:/*:/*) ;;
*) die 'PREFIX, SYSCONFDIR and SBINDIR begin with /, and follow DESTDIR' ;;
esac
PREFIX=${PREFIX%/} SYSCONFDIR=${SYSCONFDIR%/} SBINDIR=${SBINDIR%/}
case $DESTDIR in
/*) DESTDIR=${DESTDIR%/} ;;
?*) DESTDIR=$PWD/${DESTDIR%/} ;;
esac
[ -n "$DESTDIR" ] || [ "$(id -u)" = 0 ] || die 'run it as root, or give a DESTDIR'
bin=$DESTDIR$PREFIX/bin
service=$DESTDIR$SBINDIR/fusermountd
rule=udev/60-fusermount.rules
record=$DESTDIR$PREFIX/share/doc/fusermount/folders # made on this system
new='' target='' made='' state=''
case $#:${1-} in
2:install)
	case $2 in
	/*) helper=$2 ;;
	*) helper=$PWD/$2 ;;
	esac
	# Before anything is copied: a helper without its privileges is of no use.
	if [ "$MODE:$(id -u)" = caps:0 ] && ! command -v setcap >/dev/null; then
		die 'MODE=caps needs setcap in PATH: apt-get install libcap2-bin'
	fi
	built=/etc
	[ ! -f "${helper%/*}/sysconfdir" ] || built=$(cat "${helper%/*}/sysconfdir")
	[ "$SYSCONFDIR" = "$built" ] ||
		die "the helper reads $built/fuse.conf: give SYSCONFDIR=$built, or build it with SYSCONFDIR=$SYSCONFDIR"
	cd "$(dirname "$0")"
	sh ./check-helper.sh "$helper"
	{ printf -- '- %s\n' "$PREFIX/bin/fusermount3" "$PREFIX/bin/fusectl" "$SBINDIR/fusermountd" && files && links; } | while read -r _ to; do
		refuse_package "$DESTDIR$to" "use PREFIX=/usr/local, or install a package that 'make packages' makes"
	done
	for other in fusectl fusermountd; do
		[ -f "${helper%/*}/$other" ] || die "there is no $other beside $helper"
	done
	trap finish EXIT
	trap 'exit 1' HUP INT TERM
	install_all "$helper"
	;;
1:uninstall)
	cd "$(dirname "$0")"
	refuse_package "$bin/fusermount3" "remove it with the package manager; if 'make install' has replaced it, reinstall that package"
	trap finish EXIT
	trap 'exit 1' HUP INT TERM
	uninstall_all
	;;
*) die 'usage: sh install.sh install HELPER, or sh install.sh uninstall' ;;
esac
