#!/bin/sh
# Installs the named Debian packages that are missing: sh install.sh PKG...
set -eu

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

get() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o Dpkg::Use-Pty=0 install "$@"
}

command -v apt-get >/dev/null || {
	echo "install.sh: this is no Debian system (no apt-get); needed: $*" >&2
	exit 1
}

# Package names hold no blanks, so the list of absent ones may be split.
absent=
for name; do
	installed "$name" || absent="$absent $name"
done
[ -n "$absent" ] || exit 0

[ "$(id -u)" = 0 ] || {
	echo "install.sh: only root can install:$absent" >&2
	exit 1
}

# The lists of packages may be empty or old; they are fetched only if the
# first attempt fails.
# shellcheck disable=SC2086
if ! get $absent >/dev/null 2>&1; then
	{ apt-get -qq update && get $absent >/dev/null; } || {
		echo "install.sh: cannot install:$absent" >&2
		exit 1
	}
fi
