#!/bin/sh
# Fuzzes every target for the given time each (default 10s).
set -eu
cd "$(dirname "$0")/.."
time=${1:-10s}

grep -rl --include='*_test.go' '^func Fuzz' internal | while read -r file; do
	package=./$(dirname "$file")
	sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$file" | while read -r target; do
		go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$time"
	done
done
