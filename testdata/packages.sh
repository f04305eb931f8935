#!/bin/sh
# Installs, upgrades, interrupts and removes the .deb packages on a small Debian with fuse3,
# sshfs and bindfs, and mounts as a user between all steps:
#   sh packages.sh DIR CACHE HOLDER
# as root. DIR, an absolute path, has the packages. The Debian is kept as a tar file in CACHE.
# HOLDER is the program of tools/packages/holder.
set -eu
umask 022
# shellcheck source=testdata/small-debian.sh
. "$(dirname "$0")/small-debian.sh"
ours=go-fusermount

mounted() { cut -d ' ' -f 5 /proc/self/mountinfo | grep -qxF "$root$1"; }

# serves KIND: the user mounts with that file system, reads and writes, and
# unmounts.
serves() {
	dir=/home/user/mnt
	case $1 in
	sshfs) as_user sshfs -o ssh_command=/home/user/ssh nowhere:/home/user/src "$dir" ;;
	bindfs) as_user bindfs --no-allow-other /home/user/src "$dir" ;;
	esac || return 1
	poll mounted "$dir" || return 1
	# shellcheck disable=SC2016
	as_user sh -c '[ "$(cat mnt/old)" = hello ] && echo "$1" >mnt/new && grep -qx "$1" src/new' sh "$1" &&
		as_user "${2-fusermount3}" -u "$dir" && not mounted "$dir" && return
	umount -l "$root$dir" # for what follows
	return 1
}

# serve WHEN: both file systems work.
serve() {
	check "$1: sshfs mounts, reads, writes and unmounts" serves sshfs
	check "$1: bindfs as well, unmounted by the older name" serves bindfs fusermount
}

# from_fstab: mount(8) as root goes through mount.fuse3, which is fuse3's.
from_fstab() {
	in_root mount -t fuse.bindfs /home/user/src /home/user/mnt || return 1
	mounted /home/user/mnt && in_root umount /home/user/mnt
}

# is_ours: the program is this project's, by both names, root's, and setuid.
is_ours() {
	for name in /usr/bin/fusermount3 /bin/fusermount3 /usr/bin/fusermount; do
		as_user "$name" --version | grep '(go-fusermount ' || return 1
	done
	has root:root 4755
}

# has OWNER:GROUP MODE: the installed helper has them, whichever it is.
has() { [ "$(in_root stat -c '%U:%G %a' /usr/bin/fusermount3)" = "$1 $2" ]; }

# files FINDARG...: the compared files: all but the state files of dpkg, apt, pacman and
# mount(8), and the test's own.
files() {
	(cd "$root" && find . -xdev \( -path './var/lib/[da]p*' -o -path ./var/lib/pacman -o -path ./var/lib/rpm -o -path ./var/log -o -path ./var/cache -o -path ./run \
		-o -path ./home -o -path ./root -o -path ./tmp -o -path ./proc -o -path ./dev \) -prune -o "$@")
}

# state: names, kinds, modes, owners, targets and contents; diversions and overrides.
state() {
	files -printf '%p %y %m %U:%G %l\n' | sort
	files -type f -exec sha256sum {} + | sort -k 2
	in_root dpkg-divert --list
	in_root dpkg-statoverride --list || :
}

# as_before: nothing of ours is left, and the C helper is back bit for bit.
as_before() { state >"$stage/after" && diff "$stage/before" "$stage/after"; }

# whole: dpkg reports no problem.
whole() {
	[ -z "$(in_root dpkg --audit)" ] || return 1
	# shellcheck disable=SC2016
	[ "$(in_root dpkg-query -W -f '${db:Status-Status}' fuse3)" = installed ] && in_root apt-get check
}

# aside: the C helper is where only root can run it.
aside() {
	[ -f "$root/usr/lib/$ours/aside$1" ] && not as_user "/usr/lib/$ours/aside$1" -V
}

# repack DEB NAME COMMAND...: make NAME.deb, changed by a command that gets a directory
# with its contents.
repack() {
	from=$1 name=$2
	shift 2
	rm -rf "$stage/repack"
	dpkg-deb -R "$from" "$stage/repack"
	"$@" "$stage/repack"
	dpkg-deb -b --root-owner-group "$stage/repack" "$root/opt/$name.deb" >/dev/null
}

newer() { sed -i 's/^Version: .*/&+newer/' "$1/DEBIAN/control"; }

# failing SCRIPT TREE: that script runs to its end, and then fails.
failing() {
	newer "$2"
	echo 'exit 1' >>"$2/DEBIAN/$1"
}

# moved TREE: fuse3 with its files in /usr, as in later releases of Debian, which divert the
# older name meanwhile.
moved() {
	newer "$1"
	divert='dpkg-divert --package fuse3 --no-rename --divert /bin/fusermount.usr-is-merged'
	printf '#!/bin/sh\nset -e\n%s --add /bin/fusermount\n' "$divert" >"$1/DEBIAN/preinst"
	chmod 755 "$1/DEBIAN/preinst"
	sed -i "s|^set -e\$|&\\n$divert --remove /bin/fusermount|" "$1/DEBIAN/postinst"
	for dir in bin sbin; do
		mkdir -p "$1/usr/$dir"
		mv "$1/$dir"/* "$1/usr/$dir/"
		rmdir "$1/$dir"
	done
	sed -i 's|/bin/fusermount3|/usr/bin/fusermount3|g; s|/usr/usr/|/usr/|g' "$1/DEBIAN/postinst"
	(cd "$1" && find usr -type f -exec md5sum {} + >DEBIAN/md5sums)
}

install() { in_root dpkg -i "/opt/$1.deb"; }
remove() { in_root dpkg --remove "$ours"; }

check_install() {
	serve 'before'
	check 'a user who holds the C helper has its privileges' privileged /usr/bin/fusermount3
	check 'a user holds the C helper' hold /usr/bin/fusermount3
	check 'the .deb installs beside fuse3' in_root apt-get -y install /opt/ours.deb
	check 'the C helper that the user holds is worthless' worthless
	check 'the helper is ours' is_ours
	check 'the C helper is aside, for root alone' aside "$at"
	check 'dpkg is content' whole
	check 'the files are as they were packed' in_root dpkg --verify "$ours"
	serve 'installed'
	check 'mount(8) works through mount.fuse3' from_fstab
	check "Debian's own test of the package passes" in_root sh /opt/packaging/debian/tests/mount
	check 'fuse3 and its fuse.conf are needed, whatever else is removed' needed
}

# needed: fuse3 was installed for others, which go. (apt would only do it.)
needed() {
	in_root apt-mark auto fuse3 && in_root apt-get -s autoremove --purge sshfs bindfs >"$stage/plan" &&
		in_root apt-mark manual fuse3 && grep '^Purg sshfs ' "$stage/plan" && not grep '^Purg fuse3 ' "$stage/plan"
}

# enabled: systemd would listen for the mount service.
enabled() { [ -L "$root/etc/systemd/system/sockets.target.wants/fusermountd.socket" ]; }

check_service() {
	check 'the mount service installs' in_root apt-get -y install /opt/service.deb
	check 'the mount service: the files are as they were packed' in_root dpkg --verify go-fusermountd
	check 'the mount service starts' in_root fusermountd --version
	check 'the mount service is not enabled' not enabled
	mkdir -p "$root/etc/systemd/system/sockets.target.wants" # as "systemctl enable" does
	ln -s /usr/lib/systemd/system/fusermountd.socket "$root/etc/systemd/system/sockets.target.wants/"
	check 'a newer one of it installs' install service-newer
	check 'it stays enabled' enabled
	check 'an older one of it installs again' install service
	check 'the mount service is removed' in_root dpkg --remove go-fusermountd
	check 'it stays enabled without its files' enabled
	check 'the mount service is purged' in_root dpkg --purge go-fusermountd
	check 'the mount service purged: as before' as_before
}

# parses FILE: AppArmor's parser accepts it, and its profile has the given name.
parses() {
	[ "$(in_root apparmor_parser --skip-kernel-load --skip-cache --names "/etc/apparmor.d/$1" 2>/dev/null)" = "$2" ] &&
		in_root apparmor_parser --skip-kernel-load --skip-cache "/etc/apparmor.d/$1"
}

# The system has its own profile of the same name.
check_apparmor() {
	check 'AppArmor: our profile parses' parses "$ours" fusermount3
	check "AppArmor: the system's profile of that name is off" parses fusermount3 ''
	echo '/srv/** r,' >"$root/etc/apparmor.d/local/fusermount3"
	check 'AppArmor: additions of the site parse' parses "$ours" fusermount3
	echo nonsense >"$root/etc/apparmor.d/local/fusermount3"
	check 'AppArmor: they count' not parses "$ours" fusermount3
	rm "$root/etc/apparmor.d/local/fusermount3"
}

check_upgrade() {
	check 'a user holds ours' hold /usr/bin/fusermount3
	check 'a newer one installs' install newer
	check 'upgraded: the old one that the user holds is worthless' worthless
	check 'upgraded: the helper is ours' is_ours
	check 'an older one installs again' install ours
	check 'fuse3 installs again' install fuse3
	check 'fuse3 installed again: the helper is ours' is_ours
	check 'fuse3 installed again: its own is aside' aside "$at"
	serve 'upgraded'
}

check_abort() {
	check 'an upgrade whose preinst fails, fails' not install failing-preinst
	check 'upgrade broken off: the helper is ours' is_ours
	check 'upgrade broken off: dpkg is content' whole
	check 'a user holds ours before an upgrade that fails' hold /usr/bin/fusermount3
	check 'an upgrade whose postinst fails, fails' not install failing-postinst
	check 'half configured: the old one that the user holds is worthless' worthless
	check 'half configured: the helper is ours' is_ours
	check 'half configured: mended' install failing-postrm
	check 'from one whose postrm fails, one can go on' install failing-prerm
	check 'a removal whose prerm fails, fails' not remove
	check 'removal broken off: the helper is ours' is_ours
	check 'removal broken off: mended' install ours
	check 'broken off: dpkg is content' whole
	check 'removes after all this' remove
	check 'an installation whose preinst fails, fails' not install failing-preinst
	check 'installation broken off: as before' as_before
}

check_override() {
	in_root groupadd fuse
	in_root dpkg-statoverride --update --add root fuse 4750 "$at"
	check 'installs where fuse3 is for a group' install ours
	check 'only the group may run ours' has root:fuse 4750
	check 'a user outside the group cannot' not as_user fusermount3 --version
	check 'fuse3 installs again for a group' install fuse3
	check 'still only the group may run ours' has root:fuse 4750
	check 'removes where fuse3 is for a group' remove
	check 'only the group may run the C helper' has root:fuse 4750
	in_root dpkg-statoverride --remove "$at"
	in_root groupdel fuse
	rm -f "$root/etc/group-" "$root/etc/gshadow-"
	check 'fuse3 installs again for everybody' install fuse3
}

check_remove() {
	check 'installs again' install ours
	check 'a user holds ours before it is removed' hold /usr/bin/fusermount3
	check 'removes' in_root apt-get -y remove "$ours"
	check 'removed: what the user holds is worthless' worthless
	check 'removed: the C helper has its privileges' privileged /usr/bin/fusermount3
	check 'removed: as before' as_before
	check 'removed: fuse3 is whole' in_root dpkg --verify fuse3
	check "removed: the system's AppArmor profile is on again" parses fusermount3 fusermount3
	serve 'removed'
	check 'installs once more' install ours
	check 'a user holds ours before it is purged' hold /usr/bin/fusermount3
	check 'purges' in_root apt-get -y purge "$ours"
	check 'purged: what the user holds is worthless' worthless
	check 'purged: as before' as_before
	check 'purged: dpkg knows it no more' not in_root dpkg-query -W "$ours"
}

# The C helper moves from /bin to /usr/bin while ours is installed, as between releases.
check_move() {
	[ "$at" = /bin/fusermount3 ] || return 0
	check 'installs before fuse3 moves' install ours
	check 'fuse3 moves to /usr/bin' install fuse3-moved
	check 'moved: the helper is ours' is_ours
	check 'moved: the C helper is aside' aside /usr/bin/fusermount3
	serve 'moved'
	check 'moved: removes' in_root dpkg --purge "$ours"
	check 'moved: fuse3 is whole' in_root dpkg --verify fuse3
	check 'moved: nothing is diverted' not diverted
	check 'moved: the C helper is setuid' has root:root 4755
	check 'moved: installs again' install ours
	check 'moved: the C helper is aside again' aside /usr/bin/fusermount3
	check 'moved: removes again' in_root dpkg --remove "$ours"
	serve 'moved and removed'
}

# capable: the administrator gives the helper a file capability instead of the setuid bit.
capable() {
	chmod 0755 "$root/usr/bin/fusermount3" &&
		setcap cap_sys_admin+ep "$root/usr/bin/fusermount3" && privileged /usr/bin/fusermount3
}

# dpkg itself disarms only set-uid programs.
check_capability() {
	check 'installs for a capability' install ours
	check 'has a capability' capable
	check 'a user holds it' hold /usr/bin/fusermount3
	check 'capability: a newer one installs' install newer
	check 'capability: the old one that the user holds is worthless' worthless
	check 'has a capability again' capable
	check 'capability: an upgrade whose preinst fails, fails' not install failing-preinst
	check 'capability: the helper is ours, and no bit is left behind' is_ours
	check 'has a capability once more' capable
	check 'a user holds it again' hold /usr/bin/fusermount3
	check 'capability: purges' in_root dpkg --purge "$ours"
	check 'capability: purged, and what the user holds is worthless' worthless
}

# from_source PREFIX ACTION [HELPER]: as "make install" and "make uninstall" do it.
from_source() {
	in_root env DESTDIR= PREFIX="$1" SYSCONFDIR=/etc MODE=setuid \
		sh /opt/packaging/install.sh "$2" ${3:+"$3"}
}

# refuses PACKAGE ACTION: the helper below /usr is that package's.
refuses() {
	if from_source /usr "$2" ${3:+"$3"}; then return 1; fi
	from_source /usr "$2" ${3:+"$3"} 2>&1 | grep "fusermount3 belongs to the package $1: "
}

# "make install" replaces no files of packages, except diverted ones.
check_source() {
	names='/bin/fusermount3 /usr/bin/fusermount3 /bin/fusermount /usr/bin/fusermount'
	state >"$stage/before"
	check 'source: is not installed over fuse3' refuses fuse3 install /opt/holder
	check 'source: does not remove the helper of fuse3' refuses fuse3 uninstall
	check 'source: as before' as_before
	check 'source: installs below /usr/local' from_source /usr/local install /opt/holder
	check 'source: it has its privileges' privileged /usr/local/bin/fusermount3
	check 'source: uninstalls below /usr/local' from_source /usr/local uninstall
	check 'source: nothing is left below /usr/local' as_before
	check 'installs before the source' install ours
	check 'source: is not installed over the package' refuses "$ours" install /opt/holder
	check 'source: does not remove the package' refuses "$ours" uninstall
	check 'source: the helper is ours' is_ours
	check 'removes before the source' in_root dpkg --purge "$ours"
	for name in $names; do in_root dpkg-divert --quiet --local --no-rename --add "$name"; done
	mv "$root/usr/bin/fusermount3" "$root/usr/bin/fusermount3.distrib"
	check 'source: installs where fuse3 is diverted' from_source /usr install /opt/holder
	check 'source: it has the privileges there' privileged /usr/bin/fusermount3
	check 'source: uninstalls there' from_source /usr uninstall
	mv "$root/usr/bin/fusermount3.distrib" "$root/usr/bin/fusermount3"
	ln -s fusermount3 "$root/usr/bin/fusermount"
	for name in $names; do in_root dpkg-divert --quiet --local --no-rename --remove "$name"; done
	check 'source: as before all this' as_before
}

diverted() { in_root dpkg-divert --list | grep -F "$ours"; }

# prepare DIR TAR HOLDER: that Debian with a user and the packages.
prepare() {
	unpack "$2" "$3"
	in_root useradd --uid "$uid" --user-group --create-home user
	for backup in passwd group shadow gshadow subuid subgid; do rm -f "$root/etc/$backup-"; done
	as_user mkdir /home/user/src /home/user/mnt
	echo hello >"$root/home/user/src/old"
	printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >"$root/home/user/ssh"
	chmod 755 "$root/home/user/ssh"
	ln -s ../proc/self/mounts "$root/etc/mtab"
	cp -r "$(dirname "$0")/../packaging" "$(dirname "$0")"/../*.md "$root/opt/"
	cp "$1"/go-fusermount_*_amd64.deb "$root/opt/ours.deb"
	cp "$1"/go-fusermountd_*_amd64.deb "$root/opt/service.deb"
	: >"$root/opt/fusectl" # these two are installed with a helper beside them
	: >"$root/opt/fusermountd"
	cp "$root"/root/fuse3_*.deb "$root/opt/fuse3.deb"
	repack "$root/opt/service.deb" service-newer newer
	repack "$root/opt/ours.deb" newer newer
	for script in preinst postinst prerm postrm; do repack "$root/opt/ours.deb" "failing-$script" failing "$script"; done
	at=$(dpkg-deb -c "$root/opt/fuse3.deb" | sed -n 's|.* \.\(/.*bin/fusermount3\)$|\1|p')
	[ "$at" = /usr/bin/fusermount3 ] || repack "$root/opt/fuse3.deb" fuse3-moved moved
	printf 'profile fusermount3 /usr/bin/fusermount3 {\n}\n' >"$root/etc/apparmor.d/fusermount3"
	state >"$stage/before"
}

if [ "${1-}" != --inside ]; then
	[ "$(id -u)$#" = 03 ] || { echo 'usage, as root: sh packages.sh DIR CACHE HOLDER' >&2 && exit 1; }
	tar=$(small_debian "$2")
	inside "$0" --inside "$1" "$tar" "$3"
fi
trap 'exit 1' HUP INT TERM
prepare "$2" "$3" "$4"
for part in service install apparmor upgrade abort override remove move capability source; do
	"check_$part"
done
end
