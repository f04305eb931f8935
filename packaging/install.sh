#!/bin/sh
# Installs the helper and what this folder holds for it, or takes it away again:
#   sh install.sh install HELPER
#   sh install.sh uninstall
# with DESTDIR, PREFIX, SYSCONFDIR and MODE (setuid or caps) in the environment,
# as "make install" sets them. Without root it can fill a DESTDIR.
set -eu
umask 022

say() { echo "install.sh: $*" >&2; }
die() { say "$*" && exit 1; }

# files: what belongs to the program, and is replaced and removed with it.
files() {
	cat <<-END
		man/fusermount3.1 $PREFIX/share/man/man1/fusermount3.1
		man/fuse.conf.5 $PREFIX/share/man/man5/fuse.conf.5
		completions/fusermount3.bash $PREFIX/share/bash-completion/completions/fusermount3
		completions/_fusermount3 $PREFIX/share/zsh/site-functions/_fusermount3
		completions/fusermount3.fish $PREFIX/share/fish/vendor_completions.d/fusermount3.fish
		udev/60-fusermount.rules $PREFIX/lib/udev/rules.d/60-fusermount.rules
		modules-load/fusermount.conf $PREFIX/lib/modules-load.d/fusermount.conf
		copyright $PREFIX/share/doc/fusermount/copyright
	END
}

# links: what has the older name of the program, beside what they lead to.
links() {
	cat <<-END
		fusermount3 $PREFIX/bin/fusermount
		fusermount3.1 $PREFIX/share/man/man1/fusermount.1
		fusermount3 $PREFIX/share/bash-completion/completions/fusermount
		fusermount3.fish $PREFIX/share/fish/vendor_completions.d/fusermount.fish
	END
}

# settings: what belongs to the administrator, and is touched only as long as
# nobody has changed it.
settings() {
	cat <<-END
		fuse.conf $SYSCONFDIR/fuse.conf
		apparmor/fusermount3 $SYSCONFDIR/apparmor.d/fusermount3
	END
}

# setting FILE: its text. The profile names the place where the program lies.
setting() { sed "s|/usr/bin/fusermount|$PREFIX/bin/fusermount|g" "$1"; }

unchanged() { setting "$1" | cmp -s - "$2"; }

# put MODE FROM TO
put() {
	mkdir -p "${3%/*}"
	if [ "$(id -u)" = 0 ]; then
		install -o root -g root -m "$1" "$2" "$3"
	else
		install -m "$1" "$2" "$3"
	fi
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

# put_helper replaces it in one step: users who unmount meanwhile have the old
# one or the new one, and never one without its privileges.
put_helper() {
	new=$bin/.fusermount3.new
	trap 'rm -f "$new"' EXIT
	trap 'exit 1' HUP INT TERM
	put 0755 "$1" "$new"
	privilege "$new"
	mv -f "$new" "$bin/fusermount3"
}

install_all() {
	put_helper "$1"
	files | while read -r from to; do put 0644 "$from" "$DESTDIR$to"; done
	links | while read -r target link; do ln -sfn "$target" "$DESTDIR$link"; done
	settings | while read -r from to; do
		to=$DESTDIR$to
		if [ -e "$to" ] || [ -L "$to" ]; then
			unchanged "$from" "$to" || say "$to is there already, and stays as it is"
			continue
		fi
		put 0644 "$from" "$to"
		setting "$from" >"$to"
	done
}

uninstall_all() {
	rm -f "$bin/fusermount3"
	links | while read -r target link; do rm -f "$DESTDIR$link"; done
	files | while read -r from to; do rm -f "$DESTDIR$to"; done
	rmdir "$DESTDIR$PREFIX/share/doc/fusermount" 2>/dev/null || : # ours, unless somebody put something there
	settings | while read -r from to; do
		to=$DESTDIR$to
		if [ ! -e "$to" ]; then
			continue
		elif unchanged "$from" "$to"; then
			rm -f "$to"
		else
			say "$to was changed, and stays"
		fi
	done
}

case $MODE in
setuid | caps) ;;
*) die 'MODE is setuid or caps' ;;
esac
case $PREFIX:$SYSCONFDIR in
/*:/*) ;;
*) die 'PREFIX and SYSCONFDIR begin with /, and follow DESTDIR' ;;
esac
case $DESTDIR in
/*) ;;
?*) DESTDIR=$PWD/$DESTDIR ;;
*) [ "$(id -u)" = 0 ] || die 'run it as root, or give a DESTDIR' ;;
esac
bin=$DESTDIR$PREFIX/bin
case $#:${1-} in
2:install)
	helper=$(realpath -- "$2")
	# Before anything is copied: a helper without its privileges is of no use.
	if [ "$MODE:$(id -u)" = caps:0 ] && ! command -v setcap >/dev/null; then
		die 'MODE=caps needs setcap in PATH: apt-get install libcap2-bin'
	fi
	cd "$(dirname "$0")"
	install_all "$helper"
	;;
1:uninstall)
	cd "$(dirname "$0")"
	uninstall_all
	;;
*) die 'usage: sh install.sh install HELPER, or sh install.sh uninstall' ;;
esac
