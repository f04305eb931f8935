#!/bin/sh
# Fills a directory with what is published as a release:
#   sh release.sh VERSION OUT ARCH...
# in the module's root, after "make packages". cyclonedx-gomod is $CYCLONEDX, tools/sbom is $SBOM.
set -eu
umask 022
export LC_ALL=C

version=$1 out=$2
shift 2
case $version in
*-dev*) ;;
*)
	grep -q "^## \[$version\] - 20[0-9-]*$" CHANGELOG.md || {
		echo "release.sh: CHANGELOG.md has no heading '## [$version] - DATE'" >&2
		exit 1
	}
	;;
esac
source=build/dist/go-fusermount-$version.tar.gz
boms=build/stage/sbom
ls build/packages/*.rpm >/dev/null || {
	echo 'release.sh: there are no .rpm packages: install rpmbuild, and run it again' >&2
	exit 1
}
rm -rf "$out" "$boms"
mkdir -p "$out" "$boms"
cp build/packages/* "$source" "$out/"
cp packaging/debian/copyright "$out/LICENSES"
cp packaging/rpm/go-fusermount.spec "$out/"
sed "s/^sha256sums=(SKIP).*/sha256sums=($(sha256sum "$source" | cut -d ' ' -f 1))/" packaging/arch/PKGBUILD >"$out/PKGBUILD"
sed "s|^sha512sums=\"SKIP\"|sha512sums=\"$(sha512sum "$source" | cut -d ' ' -f 1)  ${source##*/}\"|" packaging/alpine/APKBUILD >"$out/APKBUILD"
for recipe in PKGBUILD APKBUILD; do
	! grep -q SKIP "$out/$recipe" || { echo "release.sh: $recipe got no checksum" >&2 && exit 1; }
done
for arch; do
	set --
	for name in fusermount3 fusectl fusermountd; do
		cp "build/linux-$arch/$name" "$out/$name-linux-$arch"
		"$CYCLONEDX" bin -json -std -noserial -notimestamp -version "$version" -output "$boms/$name-$arch.json" \
			"build/linux-$arch/$name" 2>"$boms/log" || { cat "$boms/log" >&2 && exit 1; }
		set -- "$@" "$boms/$name-$arch.json"
	done
	"$SBOM" "$out/go-fusermount-linux-$arch.cdx.json" "$@"
done
cd "$out"
sha256sum -- * >SHA256SUMS
