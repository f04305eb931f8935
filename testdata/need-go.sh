#!/bin/sh
# Says in one line that go is missing or too old: sh testdata/need-go.sh
# Older versions of go fail with messages that do not tell.
set -eu
cd "$(dirname "$0")/.."

need=$(sed -n 's/^go //p' go.mod)
command -v go >/dev/null || {
	echo "this needs Go $need, and there is no go in PATH" >&2
	exit 1
}
# From Go 1.21 on, go fetches the version that go.mod asks for, unless that is switched off.
have=$(go env GOVERSION 2>/dev/null) || have=$(GOTOOLCHAIN=local go version | sed 's/.* \(go[0-9][^ ]*\).*/\1/')
have=${have#go}
oldest=$(printf '%s\n' "$need" "${have:-0}" | sort -V | head -n 1)
[ "$oldest" = "$need" ] || {
	echo "this needs Go $need, and $(command -v go) is Go $have" >&2
	exit 1
}
