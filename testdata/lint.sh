#!/bin/sh
# Checks format, go vet, staticcheck and the rules of tools/arch.
set -eu
cd "$(dirname "$0")/.."

mkdir -p build/bin
(cd tools/programs && go build -o ../../build/bin/ mvdan.cc/gofumpt honnef.co/go/tools/cmd/staticcheck)

unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs build/bin/gofumpt -l)
if [ -n "$unformatted" ]; then
	printf 'gofumpt would change:\n%s\n' "$unformatted" >&2
	exit 1
fi

for module in . tools examples kubernetes; do
	(cd "$module" && go vet ./... && "$OLDPWD/build/bin/staticcheck" ./... && go mod verify >/dev/null && go mod tidy -diff)
done
(cd tools/programs && go mod verify >/dev/null && go mod tidy -diff)

# The module requires two others, and no more. Package tests hold pflag to fusectl.
extra=$(go list -m -f '{{if not (or .Main .Indirect)}}{{.Path}}{{end}}' all |
	grep -vx -e golang.org/x/sys -e github.com/spf13/pflag || true)
if [ -n "$extra" ]; then
	printf 'go.mod requires more than x/sys and pflag:\n%s\n' "$extra" >&2
	exit 1
fi

sh packaging/copyright.sh | cmp - packaging/debian/copyright || {
	echo 'its licences have changed: sh packaging/copyright.sh >packaging/debian/copyright' >&2
	exit 1
}

(cd tools && go test -count=1 ./arch) # it reads files that the cache of tests does not watch
echo 'lint: all well'
