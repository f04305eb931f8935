#!/bin/sh
# Fuzzes the targets in a directory whose names match a pattern:
#   sh testdata/fuzz.sh [TIME [PATTERN [DIRECTORY]]]
# for the given time each (default 10s), and prints how often each was executed. Without
# a directory these are all parsers and the policy. Inputs on which a target fails are
# kept in its package's testdata/fuzz, and every go test tries them again.
set -eu
cd "$(dirname "$0")/.."
time=${1:-10s}
pattern=${2:-Fuzz}
cd "${3:-.}"
out=$(mktemp)
trap 'rm -f "$out"' EXIT

targets=$(grep -rn --include='*_test.go' --exclude-dir=tools --exclude-dir=examples '^func Fuzz' . |
	sed -n 's/^\(.*\)\/[^/]*:[0-9]*:func \(Fuzz[A-Za-z]*\)(.*/\1 \2/p' | grep "$pattern" | sort)
[ -n "$targets" ] || { echo "no target matches $pattern" >&2; exit 1; }

# fuzz runs one target. Before Go 1.27, go test sometimes fails when the time is up
# (golang.org/issue/75804); a failure of the target names its input.
fuzz() {
	# By default, making one input shorter may take a minute.
	go test "$1" -count=1 -timeout 0 -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 20x >"$out" 2>&1 && return
	grep -q '^ *context deadline exceeded$' "$out" && ! grep -q 'Failing input' "$out"
}

echo "$targets" | while read -r package target; do
	fuzz "$package" "$target" || { cat "$out"; exit 1; }
	executions=$(sed -n 's/.*execs: \([0-9]*\) .*/\1/p' "$out" | tail -n 1)
	[ "$package" != . ] || package=$PWD
	printf '%-12s %-20s %9s executions\n' "${package##*/}" "$target" "${executions:-no}"
done
