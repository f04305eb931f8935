#!/bin/sh
# Signs a release with a key that is thrown away, and tries to pass off others as it:
#   sh sign.sh DIR
# DIR has one, of the version 1.2.3.
set -eu
umask 077
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
export GNUPGHOME="$work/home"
finish() {
	gpgconf --kill all || :
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
mkdir "$GNUPGHOME" "$work/tree"
cp -r "$here/../packaging" "$here/../SECURITY.md" "$work/tree/"
echo 1.2.3 >"$work/tree/VERSION"

die() { echo "sign.sh: $*" >&2 && exit 1; }

# new_key NAME prints its fingerprint.
new_key() {
	gpg --batch --quiet --passphrase '' --quick-generate-key "$1" ed25519 sign never 2>"$work/log" || { cat "$work/log" >&2 && return 1; }
	gpg --batch --with-colons --list-keys "$1" | sed -n '/^fpr:/{s/^fpr:*\([0-9A-F]*\):$/\1/p;q;}'
}

# fresh: the release as it was made.
fresh() {
	rm -rf "$work/release"
	cp -r "$1" "$work/release"
}

name_key() {
	sed '/^Release key: /d' "$here/../SECURITY.md" >"$work/tree/SECURITY.md"
	# shellcheck disable=SC2016
	printf 'Release key: `%s`\n' "$1" >>"$work/tree/SECURITY.md"
	gpg --armor --export "$1" >"$work/tree/packaging/release-key.asc"
}

sign() { sh "$work/tree/packaging/sign.sh" sign "$work/release"; }
verify() { sh "$work/tree/packaging/sign.sh" verify "$work/release"; }

# refused WANT COMMAND: it fails, with these words.
refused() {
	want=$1
	shift
	if "$@" >"$work/said" 2>&1; then die "$* succeeds, where it should say: $want"; fi
	grep -qF "$want" "$work/said" || { cat "$work/said" >&2 && die "it does not say: $want"; }
}

key=$(new_key release)
other=$(new_key other)
fresh "$1"
sed -i '/^Release key: /d' "$work/tree/SECURITY.md"
refused 'names no release key' sign
name_key "$key"
refused 'it is not signed' verify
sign
verify | grep -x "signed by $key, and whole"

echo >>"$work/release/LICENSES"
refused 'files differ from what was signed' verify
refused 'it is not signed' sign
fresh "$1" && sign
mkdir "$work/release/.hidden"
refused 'files differ from what was signed' verify
fresh "$1" && sign
echo >>"$work/release/SHA256SUMS"
refused 'the signature is wrong' verify
fresh "$1" && name_key "$other" && sign && name_key "$key"
refused 'the signature is wrong' verify # the keys do not have it
gpg --armor --export "$key" "$other" >"$work/tree/packaging/release-key.asc"
refused "it is not signed by the key $key" verify
fresh "$1" && sign
sed 's/^:---/---/' "$GNUPGHOME/openpgp-revocs.d/$key.rev" | gpg --batch --import 2>"$work/log"
gpg --armor --export "$key" >"$work/tree/packaging/release-key.asc"
refused 'the key is revoked or expired' verify
echo 1.2.4 >"$work/tree/VERSION"
refused 'is not the release 1.2.4' sign
echo 'signed and verified with a key that is gone'
