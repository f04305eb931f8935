#!/bin/sh
# Builds the parts of a cluster from the module proxy, and prints the directory where they are. They
# are kept outside of the tree: it takes ten minutes the first time.
set -eu
KUBERNETES=1.34.1 CONTAINERD=2.1.4 RUNC=1.3.3

die() {
	echo "build-cluster: $*" >&2
	exit 1
}

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/fusermount-cluster/kubernetes-$KUBERNETES-containerd-$CONTAINERD-runc-$RUNC
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$cache"
export CGO_ENABLED=0 GOFLAGS=-mod=mod GOWORK=off GOTOOLCHAIN=auto

# module_of MODULE VERSION: a directory with a module that requires MODULE, with the replacements of
# its own go.mod: those by a path are of Kubernetes' staging, which are modules of another version.
module_of() {
	dir=$work/$(basename "$1")
	mkdir -p "$dir"
	file=$(go mod download -json "$1@$2" | sed -n 's/^.*"GoMod": "\(.*\)".*/\1/p')
	[ -f "$file" ] || die "no go.mod of $1"
	{
		echo "module build"
		sed -n 's/^go /go /p' "$file"
		echo "require $1 $2"
		staging=v0.${2#v1.}
		sed -n 's/^[[:space:]]*\(replace \)\{0,1\}\([^ ]*\) => \.\/staging.*/\2/p' "$file" |
			while read -r name; do echo "replace $name => $name $staging"; done
	} >"$dir/go.mod"
	echo "$dir"
}

# build PROGRAM MODULE VERSION PACKAGE FLAGS...
build() {
	program=$1 module=$2 version=$3 package=$4
	shift 4
	[ ! -x "$cache/$program" ] || return 0
	echo "build-cluster: $program" >&2
	dir=$(module_of "$module" "$version")
	(cd "$dir" && go get "$package@$version" && nice go build -trimpath -ldflags '-s -w' "$@" -o "$cache/$program.new" "$package") >&2
	mv "$cache/$program.new" "$cache/$program"
}

for program in kubelet kube-apiserver kubectl; do
	build "$program" k8s.io/kubernetes "v$KUBERNETES" "k8s.io/kubernetes/cmd/$program"
done
for program in containerd containerd-shim-runc-v2 ctr; do
	build "$program" github.com/containerd/containerd/v2 "v$CONTAINERD" "github.com/containerd/containerd/v2/cmd/$program"
done
CGO_ENABLED=1 # libseccomp
build runc github.com/opencontainers/runc "v$RUNC" github.com/opencontainers/runc -tags seccomp
echo "$cache"
