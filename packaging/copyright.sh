#!/bin/sh
# Prints our licence, and those of what is linked into the program, as they stand in
# the file copyright: sh packaging/copyright.sh >packaging/copyright, in the module's
# root. The file is kept, since whoever installs the program may have no go.
set -eu

echo "go-fusermount, https://github.com/go-fusermount/fusermount"
echo
cat LICENSE
printf "\nIt contains golang.org/x/sys and Go's runtime and library:\n\n"
cat "$(go list -m -f '{{.Dir}}' golang.org/x/sys)/LICENSE"
printf "\nThe program fusectl contains github.com/spf13/pflag as well:\n\n"
cat "$(go list -m -f '{{.Dir}}' github.com/spf13/pflag)/LICENSE"
