#!/bin/sh
# The distributions' linters on the recipes and on the packages:
#   sh lint-packages.sh RECIPES PACKAGES
# with what recipes.sh has made, and "make packages". An error or a warning of theirs that no
# file explains is a failure.
set -eu
cd "$(dirname "$0")/.."
recipes=$1 packages=$2

# Debian 12's lintian is older than the field Static-Built-Using, which is for a rebuild after a
# security release of Go, and than the architecture loong64.
lintian --fail-on error,warning --allow-root --suppress-tags unknown-field,unknown-architecture \
	"$recipes"/*.changes "$packages"/*.deb

rpmlint --strict --config packaging/rpm/rpmlint.toml packaging/rpm/go-fusermount.spec "$recipes"/*.rpm

# Variables and functions of makepkg and abuild.
shellcheck -s bash -e SC2034,SC2154,SC2164 packaging/arch/PKGBUILD packaging/arch/go-fusermount.install
shellcheck -s sh -e SC2034,SC2154 packaging/alpine/APKBUILD
shellcheck -S warning -x packaging/*.sh packaging/beside packaging/debian/*.p* packaging/debian/tests/mount packaging/alpine/*.p* testdata/*.sh
echo 'lint-packages: all well'
