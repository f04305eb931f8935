#!/bin/sh
# Installs the helper and what this folder holds for it, or takes it away again:
#   sh install.sh install|uninstall HELPER
# with DESTDIR, PREFIX, SYSCONFDIR and MODE (setuid or caps) in the environment,
# as "make install" sets them. Without root it can fill a DESTDIR.
set -eu
umask 022

die() { echo "install.sh: $*" >&2 && exit 1; }

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

# put_helper replaces it in one step: users who unmount meanwhile have the old
# one or the new one, and never one without its privileges.
put_helper() {
	new=$bin/.fusermount3.new
	put 0755 "$1" "$new"
	case $MODE in
	setuid) chmod 4755 "$new" ;;
	caps)
		if [ "$(id -u)" = 0 ]; then
			setcap cap_sys_admin+ep "$new"
		else
			echo "install.sh: only root can run 'setcap cap_sys_admin+ep $bin/fusermount3'" >&2
		fi
		;;
	esac
	mv -f "$new" "$bin/fusermount3"
	ln -sfn fusermount3 "$bin/fusermount"
}

install_all() {
	put_helper "$1"
	files | while read -r from to; do put 0644 "$from" "$DESTDIR$to"; done
	ln -sfn fusermount3.1 "$DESTDIR$PREFIX/share/man/man1/fusermount.1"
	settings | while read -r from to; do
		to=$DESTDIR$to
		if [ -e "$to" ] || [ -L "$to" ]; then
			unchanged "$from" "$to" || echo "install.sh: $to is there already, and stays as it is" >&2
			continue
		fi
		put 0644 "$from" "$to"
		setting "$from" >"$to"
	done
}

uninstall_all() {
	rm -f "$bin/fusermount3" "$bin/fusermount" "$DESTDIR$PREFIX/share/man/man1/fusermount.1"
	files | while read -r from to; do rm -f "$DESTDIR$to"; done
	settings | while read -r from to; do
		to=$DESTDIR$to
		if [ ! -e "$to" ]; then
			continue
		elif unchanged "$from" "$to"; then
			rm -f "$to"
		else
			echo "install.sh: $to was changed, and stays" >&2
		fi
	done
}

case $MODE in
setuid | caps) ;;
*) die 'MODE is setuid or caps' ;;
esac
bin=$DESTDIR$PREFIX/bin
helper=$(realpath "${2:-/nonexistent}")
cd "$(dirname "$0")"
case ${1-} in
install) install_all "$helper" ;;
uninstall) uninstall_all ;;
*) die 'usage: sh install.sh install|uninstall HELPER' ;;
esac
