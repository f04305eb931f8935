#!/bin/sh
# Refuses a file that must not be installed set-uid: sh check-helper.sh HELPER
# It needs neither readelf nor a machine of the helper's architecture.
set -eu

file=$1

die() { echo "check-helper.sh: $file $*" >&2 && exit 1; }

# bytes OFFSET COUNT prints bytes as decimal numbers, up to the end of the file.
bytes() { od -A n -v -t u1 -j "$1" -N "$2" "$file" 2>/dev/null || :; }

# number OFFSET COUNT prints an integer in the byte order of the file. Call it in an
# assignment of its own: elsewhere the shell ignores an error.
number() {
	value=0 shift=0 count=0
	for byte in $(bytes "$1" "$2"); do
		case $order in
		1) value=$((value | byte << shift)) shift=$((shift + 8)) ;;
		2) value=$((value << 8 | byte)) ;;
		esac
		count=$((count + 1))
	done
	if [ "$count" != "$2" ] || [ "$value" -lt 0 ]; then
		die 'is incomplete or damaged'
	fi
	echo "$value"
}

# no_interpreter refuses a program header of type PT_INTERP (3): the kernel would
# start that interpreter with the privileges of the helper, and it reads the
# caller's environment.
no_interpreter() {
	case $class in
	1)
		start=$(number 28 4)
		size=$(number 42 2)
		headers=$(number 44 2)
		;;
	2)
		start=$(number 32 8)
		size=$(number 54 2)
		headers=$(number 56 2)
		;;
	esac
	[ "$headers" -gt 0 ] || die 'has no program headers'
	while [ "$headers" -gt 0 ]; do
		headers=$((headers - 1))
		type=$(number $((start + headers * size)) 4)
		[ "$type" != 3 ] ||
			die 'needs an interpreter (dynamic linker): build it with CGO_ENABLED=0 and without -buildmode=pie'
	done
}

[ -f "$file" ] || die 'is not there, or is no regular file'
# "\177ELF", class 1 (32 bits) or 2 (64 bits), order 1 (little-endian) or 2.
# shellcheck disable=SC2046 # numbers
set -- $(bytes 0 6)
case $* in
'127 69 76 70 '[12]' '[12]) class=$5 order=$6 ;;
*) die 'is no ELF program' ;;
esac
no_interpreter
