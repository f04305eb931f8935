#!/bin/sh
# Upgrades and removes packages of all formats except .deb, while a user holds the
# helper open:
#   sh packages-held.sh ABSOLUTE_PATH_OF_PACKAGES CACHE HOLDER
# as root. PACKAGES has the versions 1.0.0 and 1.0.1, in which HOLDER, the program of
# tools/packages/holder, is the helper. rpm and pacman are Debian's. There is no apk: its
# package's scripts are run.
set -eu
umask 022
# shellcheck source=testdata/small-debian.sh
. "$(dirname "$0")/small-debian.sh"
helper=/usr/bin/fusermount3

# Debian's pacman asks sh to run scripts, and Arch's is bash.
prepare() {
	unpack "$2" "$3"
	mkdir "$root/opt/packages"
	cp "$1"/* "$root/opt/packages/"
	ln -sf bash "$root/bin/sh"
	cp -r "$(dirname "$0")/../packaging" "$root/opt/packaging"
	in_root dpkg --purge --force-depends fuse3 >/dev/null 2>&1
	[ ! -e "$root$helper" ]
}

# held WHAT COMMAND...: a command that replaces or removes the helper.
held() {
	step=$1
	shift
	check "$step: has privileges before" privileged "$helper"
	check "$step: a user holds it" hold "$helper"
	check "$step" "$@"
	check "$step: what the user holds is worthless" worthless
	check "$step: nothing else is left" not ls "$root/usr/bin/.fusermount3.old"
}

capable() { setcap cap_sys_admin+ep "$root$helper" && chmod 0755 "$root$helper" && privileged "$helper"; }

rpm() { in_root rpm --nodeps "$@"; }

check_rpm() {
	old=/opt/packages/go-fusermount-1.0.0-1.x86_64.rpm new=/opt/packages/go-fusermount-1.0.1-1.x86_64.rpm
	check 'rpm installs' rpm -i "$old"
	check 'rpm: "make install" knows its owner' refused
	held 'rpm upgrades' rpm -U "$new"
	check 'rpm: the new one has privileges' privileged "$helper"
	held 'rpm installs an older one' rpm -U --oldpackage "$old"
	held 'rpm removes' rpm -e go-fusermount
	check 'rpm installs again' rpm -i "$old"
	check 'rpm: it has a capability' capable
	held 'rpm upgrades one with a capability' rpm -U "$new"
	check 'rpm: it has a capability again' capable
	held 'rpm removes one with a capability' rpm -e go-fusermount
}

# refused: install.sh of the source does not replace what a package manager installed.
refused() {
	in_root env DESTDIR= PREFIX=/usr SYSCONFDIR=/etc MODE=setuid sh /opt/packaging/install.sh install /opt/holder 2>&1 |
		grep 'fusermount3 belongs to the package go-fusermount: '
}

pacman() { in_root pacman --noconfirm --config /dev/null "$@"; }

check_pacman() {
	old=/opt/packages/go-fusermount-1.0.0-1-x86_64.pkg.tar.zst new=/opt/packages/go-fusermount-1.0.1-1-x86_64.pkg.tar.zst
	check 'pacman installs' pacman -Udd "$old"
	check 'pacman: "make install" knows its owner' refused
	held 'pacman upgrades' pacman -Udd "$new"
	check 'pacman: the new one has privileges' privileged "$helper"
	held 'pacman installs the same again' pacman -Udd "$new"
	held 'pacman removes' pacman -Rdd go-fusermount
	check 'pacman installs again' pacman -Udd "$old"
	check 'pacman: it has a capability' capable
	held 'pacman upgrades one with a capability' pacman -Udd "$new"
	check 'pacman: it has a capability again' capable
	held 'pacman removes one with a capability' pacman -Rdd go-fusermount
}

script() { in_root "/opt/apk/.$1"; }

# upgrade and remove do what apk does, in its order.
upgrade() {
	script pre-upgrade || return
	install -m 4755 "$root/opt/holder" "$root/usr/bin/.apk.new"
	mv "$root/usr/bin/.apk.new" "$root$helper"
	script post-upgrade
}

remove() { script pre-deinstall && rm "$root$helper" && script post-deinstall; }

check_apk() {
	mkdir "$root/opt/apk"
	bsdtar -xf "$root/opt/packages/go-fusermount_1.0.1-r1_x86_64.apk" -C "$root/opt/apk"
	ln -sf dash "$root/bin/sh"
	install -m 4755 "$root/opt/holder" "$root$helper"
	held 'apk upgrades' upgrade
	check 'apk: the new one has privileges' privileged "$helper"
	check 'apk: a user holds it before an upgrade that breaks off' hold "$helper"
	check 'apk breaks off' script pre-upgrade
	check 'apk broke off: the helper has its privileges' still_privileged
	check 'apk upgrades after that' upgrade
	check 'apk upgraded after that: what the user holds is worthless' worthless
	check 'apk: it has a capability' capable
	held 'apk upgrades one with a capability' upgrade
	held 'apk removes' remove
	check 'apk: nothing is left' not ls "$root$helper"
}

# still_privileged: checked without the attacking program, of which one can run at a time.
still_privileged() {
	in_root setpriv --reuid "$uid" --regid "$uid" --clear-groups "$helper" | grep -x 'ran with privileges'
}

if [ "${1-}" != --inside ]; then
	[ "$(id -u)$#" = 03 ] || { echo 'usage, as root: sh packages-held.sh ABSOLUTE_PATH_OF_PACKAGES CACHE HOLDER' >&2 && exit 1; }
	tar=$(small_debian "$2")
	inside "$0" --inside "$1" "$tar" "$3"
fi
trap 'exit 1' HUP INT TERM
prepare "$2" "$3" "$4"
for part in rpm pacman apk; do
	"check_$part"
done
end
