#!/bin/sh
# Fuzzes every parser and the policy for the given time each (default 10s), or the
# targets whose names match a pattern, and prints how often each was executed.
# Inputs on which a target fails are kept in its package's testdata/fuzz, and every go
# test tries them again. make fuzz-command fuzzes the whole command.
set -eu
cd "$(dirname "$0")/.."
time=${1:-10s}
pattern=${2:-Fuzz}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

targets=$(grep -rn --include='*_test.go' --exclude-dir=tools --exclude-dir=examples '^func Fuzz' . |
	sed -n 's/^\(.*\)\/[^/]*:[0-9]*:func \(Fuzz[A-Za-z]*\)(.*/\1 \2/p' | grep "$pattern" | sort)
[ -n "$targets" ] || { echo "no target matches $pattern" >&2; exit 1; }
echo "$targets" | while read -r package target; do
	# A minute, the default, may pass with making one input shorter.
	if ! go test "$package" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s >"$out" 2>&1; then
		cat "$out"
		exit 1
	fi
	executions=$(sed -n 's/.*execs: \([0-9]*\) .*/\1/p' "$out" | tail -n 1)
	printf '%-12s %-20s %9s executions\n' "${package##*/}" "$target" "${executions:-no}"
done
