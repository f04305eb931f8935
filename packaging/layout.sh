#!/bin/sh
# Divides what "make install PREFIX=/usr MODE=setuid" has installed in the directory FROM
# into the packages OUT/go-fusermount and OUT/go-fusermountd of a format, which is deb, rpm,
# apk or arch:
#   sh layout.sh FORMAT FROM OUT
# Files that belong to other packages there, such as fuse.conf, are left in FROM.
set -eu
umask 022
format=$1 from=$2 main=$3/go-fusermount service=$3/go-fusermountd
here=$(dirname "$0")

# move TREE PATH [TO]: one file or folder of FROM.
move() {
	to=$1${3-$2}
	mkdir -p "${to%/*}"
	mv "$from$2" "$to"
}

# add MODE FILE TO: one file of this folder.
add() {
	mkdir -p "${3%/*}"
	install -m "$1" "$here/$2" "$3"
}

# link TARGET NAME
link() {
	mkdir -p "${2%/*}"
	ln -s "$1" "$2"
}

doc=/usr/share/doc/go-fusermount man=/usr/share/man bin=/usr/bin
find "$from$man" -type f -exec gzip -9n {} +

# The helper and its manual. Under its own name it takes the place of libfuse's by what dpkg and
# apk have for that. The others have nothing, and there the script beside makes links.
case $format in
deb | apk)
	move "$main" $bin/fusermount3
	move "$main" $man/man1/fusermount3.1.gz
	;;
rpm | arch)
	own=/usr/lib/go-fusermount
	move "$main" $bin/fusermount3 $own/fusermount3
	move "$main" $man/man1/fusermount3.1.gz $own/fusermount3.1.gz
	add 0755 beside "$main$own/beside"
	;;
esac
[ "$format" != arch ] || add 0644 arch/go-fusermount.hook "$main/usr/share/libalpm/hooks/go-fusermount.hook"

move "$main" $bin/fusectl
move "$main" $man/man1/fusectl.1.gz
move "$main" $man/man5/fuse.conf.5.gz
move "$main" /usr/share/bash-completion/completions
case $format in
deb) zsh=/usr/share/zsh/vendor-completions ;;
*) zsh=/usr/share/zsh/site-functions ;;
esac
move "$main" /usr/share/zsh/site-functions $zsh
move "$main" /usr/share/fish/vendor_completions.d
move "$main" /usr/share/go-fusermount
move "$main" /usr/lib/modules-load.d
add 0644 apparmor/fusermount3 "$main/usr/share/go-fusermount/apparmor/fusermount3"

# The older name: where it belongs to FUSE 2, nothing of it is ours.
case $format in
deb) link fusermount3.1.gz "$main$man/man1/fusermount.1.gz" ;;
*) rm "$main/usr/share/fish/vendor_completions.d/fusermount.fish" ;;
esac

# AppArmor: a profile of the same name may come with the system's package apparmor, and is
# switched off by the second link.
if [ "$format" = deb ]; then
	link /usr/share/go-fusermount/apparmor/fusermount3 "$main/etc/apparmor.d/go-fusermount"
	link ../go-fusermount "$main/etc/apparmor.d/disable/fusermount3"
fi

for name in README COMPAT SECURITY; do
	move "$main" "/usr/share/doc/fusermount/$name.md" "$doc/$name.md"
done
case $format in
deb)
	gzip -9n "$main$doc"/*.md
	gzip -9n "$from/usr/share/doc/fusermount/CHANGELOG.md"
	for tree in "$main" "$service"; do
		docs=$tree/usr/share/doc/${tree##*/}
		add 0644 debian/copyright "$docs/copyright"
		install -m 0644 "$from/usr/share/doc/fusermount/CHANGELOG.md.gz" "$docs/changelog.gz"
	done
	;;
*)
	move "$main" /usr/share/doc/fusermount/CHANGELOG.md "$doc/CHANGELOG.md"
	add 0644 debian/copyright "$main/usr/share/licenses/go-fusermount/copyright"
	add 0644 debian/copyright "$service/usr/share/licenses/go-fusermountd/copyright"
	;;
esac
add 0644 fuse.conf "$main$doc/examples/fuse.conf"
add 0644 udev/60-fusermount.rules "$main$doc/examples/60-fusermount.rules"

# The mount service. Some systems have one folder for programs.
if [ -e "$from/usr/sbin/fusermountd" ]; then
	move "$service" /usr/sbin/fusermountd
else
	move "$service" $bin/fusermountd
fi
move "$service" $man/man8/fusermountd.8.gz
case $format in
apk) add 0755 openrc/fusermountd "$service/etc/init.d/fusermountd" ;;
*) move "$service" /usr/lib/systemd/system ;;
esac
