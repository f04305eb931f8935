#!/bin/sh
# Installs, upgrades and removes packages of all formats except .deb beside a package fuse3, while a
# user holds the helpers open, and mounts as that user:
#   sh packages-held.sh CACHE HOLDER NFPM RECIPES SOURCE
# as root, in the module's root. RECIPES are packages of the distributions' own tools, SOURCE is
# the tarball. For the rest HOLDER, the program of tools/packages/holder, is the helper. rpm and
# pacman are Debian's. There is no apk: its package's scripts are run.
set -eu
umask 022
# shellcheck source=testdata/small-debian.sh
. "$(dirname "$0")/small-debian.sh"
helper=/usr/bin/fusermount3
own=/usr/lib/go-fusermount/fusermount3
manual=/usr/share/man/man1/fusermount3.1.gz

# fuse3 VERSION makes packages that stand for those of libfuse, in DIR.
fuse3() {
	cp "$1" "$2/theirs-$3"
	echo "$3" >>"$2/theirs-$3" # different from ours, and from each other
	echo "manual $3" | gzip -9nc >"$2/manual-$3"
	cat >"$2/fuse3.yaml" <<-END
		name: fuse3
		arch: amd64
		version: $3
		maintainer: nobody <nobody@localhost>
		description: stands for libfuse's package
		provides: [fuse-common, /bin/sh]
		contents:
		  - {src: $2/theirs-$3, dst: $helper, file_info: {mode: 04755}}
		  - {src: $2/manual-$3, dst: $manual, file_info: {mode: 0644}}
		  - {src: packaging/fuse.conf, dst: /etc/fuse.conf, file_info: {mode: 0644}}
	END
	for format in rpm archlinux; do
		SOURCE_DATE_EPOCH=0 "$4" package --config "$2/fuse3.yaml" --packager "$format" --target "$2/" >/dev/null
	done
}

# Debian's pacman asks sh to run scripts, and Arch's is bash.
prepare() {
	unpack "$2" "$3"
	mkdir "$root/opt/packages" "$root/opt/recipes"
	cp "$1"/* "$root/opt/packages/"
	cp "$4"/*.x86_64.rpm "$4"/*.zst "$root/opt/recipes/"
	ln -sf bash "$root/bin/sh"
	cp -r "$(dirname "$0")/../packaging" "$(dirname "$0")"/../*.md "$root/opt/"
	in_root useradd --uid "$uid" --user-group --create-home user
	as_user mkdir /home/user/src /home/user/mnt
	as_user touch /home/user/src/here
	printf '#!/bin/sh\nexec /usr/lib/openssh/sftp-server\n' >"$root/home/user/ssh"
	chmod 755 "$root/home/user/ssh"
	in_root dpkg --purge --force-depends fuse3 >/dev/null 2>&1
	[ ! -e "$root$helper" ]
}

# held WHAT FILE COMMAND...: a command that replaces or removes that helper.
held() {
	step=$1 file=$2
	shift 2
	check "$step: has privileges before" privileged "$file"
	check "$step: a user holds it" hold "$file"
	check "$step" "$@"
	check "$step: what the user holds is worthless" worthless
}

# ours: our helper and manual have the names of libfuse's, which are those of the version VERSION, and aside.
ours() {
	[ "$(readlink "$root$helper")" = "$own" ] && [ "$(readlink "$root$manual")" = "$own.1.gz" ] &&
		cmp "$root/usr/lib/go-fusermount/aside/fusermount3" "$root/opt/packages/theirs-$1" &&
		[ "$(stat -c %a "$root/usr/lib/go-fusermount/aside")" = 700 ] &&
		[ "$(stat -c %a "$root/usr/lib/go-fusermount/aside/fusermount3")" = 600 ]
}

# theirs VERSION: libfuse's are back, and nothing of ours is left.
theirs() {
	cmp "$root$helper" "$root/opt/packages/theirs-$1" && cmp "$root$manual" "$root/opt/packages/manual-$1" &&
		[ "$(stat -c '%a %u:%g' "$root$helper")" = '4755 0:0' ] && [ ! -e "$root/usr/lib/go-fusermount" ]
}

# broken_off: libfuse's has been given a second name, and not yet been replaced.
broken_off() {
	kept=$root/usr/lib/go-fusermount/aside/fusermount3
	chmod 4755 "$kept" && ln -f "$kept" "$root$helper" && in_root /usr/lib/go-fusermount/beside on && ours 1.0.1
}

restricted() { [ "$(stat -c '%a %u:%g' "$root$helper")" = '750 0:4000' ]; }

capable() { setcap cap_sys_admin+ep "$root$own" && chmod 0755 "$root$own" && privileged "$helper"; }

# serves: a real helper mounts for the user, through the name that libraries know.
serves() {
	as_user sshfs -o ssh_command=/home/user/ssh nowhere:/home/user/src /home/user/mnt || return 1
	as_user ls /home/user/mnt/here && as_user fusermount3 -u /home/user/mnt && not as_user ls /home/user/mnt/here && return
	umount -l "$root/home/user/mnt"
	return 1
}

rpm_file() { echo "/opt/packages/$1-$2-1.x86_64.rpm"; }
rpm_install() { in_root rpm -U --oldpackage --replacepkgs "$@"; }
rpm_remove() { in_root rpm -e "$@"; }
rpm_verify() { in_root rpm -V "$1"; }
rpm_recipe() { (cd "$root" && echo "opt/recipes/$1-"[0-9]*.rpm | sed 's|^|/|'); }

pacman() { in_root pacman --noconfirm --config /dev/null "$@"; }
pacman_file() { echo "/opt/packages/$1-$2-1-x86_64.pkg.tar.zst"; }
pacman_install() { pacman -U "$@"; }
pacman_remove() { pacman -R "$@"; }
pacman_verify() { pacman -Qkk "$1" | tee /dev/stderr | grep ' 0 altered files'; }
pacman_recipe() { (cd "$root" && echo "opt/recipes/$1-"[0-9]*.zst | sed 's|^|/|'); }

# beside MANAGER: everything that can happen to either package.
beside() {
	pm=$1
	old=$("${pm}_file" go-fusermount 1.0.0) new=$("${pm}_file" go-fusermount 1.0.1)
	check "$pm installs fuse3" "${pm}_install" "$("${pm}_file" fuse3 1.0.0)"
	held "$pm installs ours" "$helper" "${pm}_install" "$old"
	check "$pm: ours is in the place of libfuse's" ours 1.0.0
	check "$pm: it has privileges" privileged "$helper"
	check "$pm: its files are as they were packed" "${pm}_verify" go-fusermount
	check "$pm: \"make install\" knows its owner" refused
	check "$pm upgrades fuse3" "${pm}_install" "$("${pm}_file" fuse3 1.0.1)"
	check "$pm: ours is still in the place of libfuse's" ours 1.0.1
	check "$pm: it still has privileges" privileged "$helper"
	check "$pm: a run of the trigger or hook that was broken off is made up for" broken_off
	check "$pm does not remove fuse3, which ours needs" not "${pm}_remove" fuse3
	held "$pm upgrades ours" "$helper" "${pm}_install" "$new"
	check "$pm: the new one has privileges" privileged "$helper"
	held "$pm installs an older one of ours" "$helper" "${pm}_install" "$old"
	check "$pm: ours is in the place of libfuse's after that" ours 1.0.1
	check "$pm: it has a capability" capable
	held "$pm upgrades one with a capability" "$helper" "${pm}_install" "$new"
	check "$pm: it has a capability again" capable
	held "$pm removes ours" "$helper" "${pm}_remove" go-fusermount
	check "$pm: libfuse's is back" theirs 1.0.1
	check "$pm: fuse3 is as it was packed" "${pm}_verify" fuse3
	check "$pm: libfuse's has privileges" privileged "$helper"
	check "$pm installs the package of the distribution's own tool" "${pm}_install" "$("${pm}_recipe" go-fusermount)" "$("${pm}_recipe" go-fusermountd)"
	check "$pm: its helper mounts and unmounts" serves
	check "$pm: the mount service starts" in_root fusermountd --version
	for name in go-fusermount go-fusermountd; do
		check "$pm: the files of $name are as they were packed" "${pm}_verify" "$name"
	done
	check "$pm removes both" "${pm}_remove" go-fusermount go-fusermountd
	check "$pm: libfuse's is back after that" theirs 1.0.1
	chmod 0750 "$root$helper" && chown 0:4000 "$root$helper" # an administrator's choice
	check "$pm installs ours once more" "${pm}_install" "$new"
	check "$pm removes it once more" "${pm}_remove" go-fusermount
	check "$pm: libfuse's has the mode that the administrator gave it" restricted
	check "$pm removes fuse3" "${pm}_remove" fuse3
}

# refused: install.sh of the source does not replace what a package manager installed.
refused() {
	in_root env DESTDIR= PREFIX=/usr SYSCONFDIR=/etc MODE=setuid sh /opt/packaging/install.sh install /opt/holder 2>&1 |
		grep 'fusermount3 belongs to the package fuse3: '
}

check_rpm() { beside rpm; }
check_pacman() { beside pacman; }

script() { in_root "/opt/apk/.$1"; }

# apk_replaces WHEN does what apk does, in its order.
apk_replaces() {
	script "pre-$1" || return
	install -m 4755 "$root/opt/holder" "$root/usr/bin/.apk.new"
	mv "$root/usr/bin/.apk.new" "$root$helper"
	script "post-$1"
}

apk_removes() { script pre-deinstall && rm "$root$helper" && script post-deinstall; }

apk_capable() { setcap cap_sys_admin+ep "$root$helper" && chmod 0755 "$root$helper" && privileged "$helper"; }

check_apk() {
	mkdir "$root/opt/apk"
	bsdtar -xf "$root/opt/packages/go-fusermount_1.0.1-r1_x86_64.apk" -C "$root/opt/apk"
	ln -sf dash "$root/bin/sh"
	install -m 4755 "$root/opt/packages/theirs-1.0.1" "$root$helper"
	held "apk installs over libfuse's" "$helper" apk_replaces install
	held 'apk upgrades' "$helper" apk_replaces upgrade
	check 'apk: the new one has privileges' privileged "$helper"
	check 'apk: a user holds it before an upgrade that breaks off' hold "$helper"
	check 'apk breaks off' script pre-upgrade
	check 'apk broke off: the helper has its privileges' still_privileged
	check 'apk upgrades after that' apk_replaces upgrade
	check 'apk upgraded after that: what the user holds is worthless' worthless
	check 'apk: it has a capability' apk_capable
	held 'apk upgrades one with a capability' "$helper" apk_replaces upgrade
	held 'apk removes' "$helper" apk_removes
	check 'apk: nothing is left' not ls "$root$helper" "$root/usr/bin/.fusermount3.old"
}

# still_privileged: checked without the attacking program, of which one can run at a time.
still_privileged() {
	in_root setpriv --reuid "$uid" --regid "$uid" --clear-groups "$helper" | grep -x 'ran with privileges'
}

if [ "${1-}" != --inside ]; then
	[ "$(id -u)$#" = 05 ] || { echo 'usage, as root: sh packages-held.sh CACHE HOLDER NFPM RECIPES SOURCE' >&2 && exit 1; }
	tar=$(small_debian "$1")
	packages=build/held
	rm -rf "$packages"
	mkdir "$packages"
	for version in 1.0.0 1.0.1; do
		fuse3 "$2" "$packages" "$version" "$3"
		NFPM=$3 SOURCE_DATE_EPOCH=0 sh packaging/packages.sh amd64 "$2" "$packages" "$version" "$5" >/dev/null
	done
	inside "$0" --inside "$(realpath "$packages")" "$tar" "$2" "$(realpath "$4")"
fi
trap 'exit 1' HUP INT TERM
prepare "$2" "$3" "$4" "$5"
for part in rpm pacman apk; do
	"check_$part"
done
end
