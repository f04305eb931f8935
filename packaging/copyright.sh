#!/bin/sh
# Prints our licence and those of the code that is linked into the programs:
#   sh packaging/copyright.sh >packaging/copyright
# in the module's root. The output is committed, since installing needs no go.
set -eu

echo "go-fusermount, https://github.com/go-fusermount/fusermount"
echo
cat LICENSE
printf "\nIt contains golang.org/x/sys and Go's runtime and library:\n\n"
cat "$(go list -m -f '{{.Dir}}' golang.org/x/sys)/LICENSE"
printf "\nThe programs fusectl and fusermountd contain github.com/spf13/pflag as well:\n\n"
cat "$(go list -m -f '{{.Dir}}' github.com/spf13/pflag)/LICENSE"
