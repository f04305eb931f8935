#!/bin/sh
# Signs a release, or verifies one:
#   sh sign.sh sign DIR
#   sh sign.sh verify DIR [KEYS]
# The key is the one that SECURITY.md names by its fingerprint. To sign, gpg must have it. To
# verify, KEYS is a file with the public key; packaging/release-key.asc if it is not given.
set -eu
here=$(dirname "$0")

die() { echo "sign.sh: $*" >&2 && exit 1; }

[ $# -ge 2 ] || die 'usage: sh sign.sh sign DIR, or sh sign.sh verify DIR [KEYS]'
action=$1 dir=$2 keys=${3-$here/release-key.asc}
# shellcheck disable=SC2016 # a pattern
key=$(sed -n 's/^Release key: `\([0-9A-F]\{40\}\)`\.*$/\1/p' "$here/../SECURITY.md")
[ -n "$key" ] || die 'SECURITY.md names no release key yet'
[ -f "$dir/SHA256SUMS" ] || die "there is no $dir/SHA256SUMS"

# whole: the files are those that are listed, and no others lie beside them.
whole() {
	(cd "$dir" && sha256sum --check --strict --quiet SHA256SUMS) || return 1
	added=$(find "$dir" -mindepth 1 ! -name SHA256SUMS ! -name SHA256SUMS.asc -printf '%P\n' |
		while read -r name; do
			cut -c 67- "$dir/SHA256SUMS" | grep -qxF -e "$name" || echo "$name"
		done)
	[ -z "$added" ] || {
		echo "not in SHA256SUMS: $added" >&2
		return 1
	}
}

case $action in
sign)
	read -r version <"$here/../VERSION"
	[ -f "$dir/go-fusermount-$version.tar.gz" ] || die "$dir is not the release $version"
	whole || die 'it is not signed'
	rm -f "$dir/SHA256SUMS.asc"
	gpg --batch --local-user "$key!" --armor --detach-sign "$dir/SHA256SUMS"
	;;
verify)
	[ -f "$keys" ] || die "there is no $keys with the public key"
	[ -f "$dir/SHA256SUMS.asc" ] || die "there is no $dir/SHA256SUMS.asc: it is not signed"
	home=$(mktemp -d) # only this key counts, not those of the user
	trap 'rm -rf "$home"' EXIT
	trap 'exit 1' HUP INT TERM
	gpg --homedir "$home" --batch --quiet --no-autostart --import "$keys"
	gpg --homedir "$home" --batch --no-autostart --trust-model always --status-fd 1 --verify "$dir/SHA256SUMS.asc" "$dir/SHA256SUMS" \
		>"$home/status" 2>"$home/log" || { cat "$home/log" >&2 && die 'the signature is wrong'; }
	grep -q "^\[GNUPG:\] VALIDSIG $key " "$home/status" || die "it is not signed by the key $key"
	grep -q '^\[GNUPG:\] GOODSIG ' "$home/status" || die 'the key is revoked or expired'
	whole || die 'files differ from what was signed'
	echo "signed by $key, and whole"
	;;
*) die "the actions are sign and verify, not $action" ;;
esac
