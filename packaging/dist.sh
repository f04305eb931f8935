#!/bin/sh
# Makes the tarball of the source, with the modules that it needs in vendor:
#   sh dist.sh VERSION OUT
# All files get the time SOURCE_DATE_EPOCH. The same source gives the same bytes.
set -eu
umask 022
cd "$(dirname "$0")/.."

version=$1 out=$2
name=go-fusermount-$version
stage=build/stage/dist
rm -rf "$stage"
mkdir -p "$stage/$name" "$out"

# A tarball has no git, and perhaps the vendored modules already. In a checkout nobody vouches
# for such a folder: go mod vendor makes one, and go.sum has its checksums.
if [ -e .git ]; then
	git ls-files -z
else
	find . -path ./build -prune -o ! -type d -print0
fi | xargs -0 cp -P --parents -t "$stage/$name"
echo "$version" >"$stage/$name/VERSION"
[ -d "$stage/$name/vendor" ] || (cd "$stage/$name" && GOFLAGS=-mod=mod go mod vendor)
tar -cf "$stage/$name.tar" -C "$stage" --format=gnu --sort=name --owner=0 --group=0 --numeric-owner \
	--mode=u+rwX,go+rX,go-w --mtime="@$SOURCE_DATE_EPOCH" "$name"
gzip -9n <"$stage/$name.tar" >"$out/$name.tar.gz"
rm -rf "$stage"
