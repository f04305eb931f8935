#!/bin/sh
# Prints our licence and those of the code that is linked into the programs, in the format
# of debian/copyright:
#   sh packaging/copyright.sh >packaging/debian/copyright
# in the module's root. The output is committed, since installing needs no go.
set -eu

url=https://github.com/go-fusermount/fusermount
format=https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

# paragraph FILES LICENCE NAME [COMMENT]: the holders are the licence's lines on top.
paragraph() {
	echo
	echo "Files: $1"
	sed -n 's/^Copyright (c) /Copyright: /p; s/^Copyright \([0-9]\)/Copyright: \1/p' "$2" |
		sed 's/ All rights reserved\.//; s/\.$//; 2,$s/^Copyright:/          /'
	echo "License: $3"
	[ -z "${4-}" ] || echo "Comment: $4"
	sed '/^Copyright /d' "$2" | sed '/./,$!d' | sed 's/^$/./; s/^/ /' >"$text/$3"
}

text=$(mktemp -d)
trap 'rm -rf "$text"' EXIT
cat <<-END
	Format: $format
	Upstream-Name: go-fusermount
	Source: $url
END
paragraph '*' LICENSE BSD-3-Clause-fusermount
sys=$(go list -mod=mod -m -f '{{.Dir}}' golang.org/x/sys)/LICENSE
pflag=$(go list -mod=mod -m -f '{{.Dir}}' github.com/spf13/pflag)/LICENSE
paragraph 'vendor/golang.org/x/sys/*' "$sys" BSD-3-Clause-Go \
	"The same holders and licence as Go's runtime and library, which every program contains"
paragraph 'vendor/github.com/spf13/pflag/*' "$pflag" BSD-3-Clause-pflag \
	'In the programs fusectl and fusermountd'
for licence in BSD-3-Clause-fusermount BSD-3-Clause-Go BSD-3-Clause-pflag; do
	printf '\nLicense: %s\n' "$licence"
	cat "$text/$licence"
done
