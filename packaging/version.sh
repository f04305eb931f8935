#!/bin/sh
# Prints the version of this source. For a release, which is a commit with the tag of that
# version, or a source without git, that is what the file VERSION says. Otherwise VERSION is the
# next release, and the commit follows: 0.1.0-dev-4a3484d, with -dirty where files differ.
set -eu
cd "$(dirname "$0")/.."
read -r version <VERSION
if [ -e .git ]; then # here, not above: a tarball may lie in another repository
	tag=$(git describe --tags --exact-match --match "v$version" --dirty 2>/dev/null) || tag=
	commit=$(git describe --always --dirty --exclude '*' 2>/dev/null) || commit=unknown # not the user's repository
	[ "$tag" = "v$version" ] || version=$version-dev-$commit
fi
echo "$version"
