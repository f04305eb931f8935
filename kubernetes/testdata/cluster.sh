#!/bin/sh
# Runs the tests of the node plugin in a cluster of one node, in namespaces of its own: sh cluster.sh
# TEST IMAGE EXAMPLES as root, where TEST is the test program, IMAGE the plugin's image, and EXAMPLES a
# directory with programs of examples/. What is built the first time is kept (build-cluster.sh).
set -eu
here=$(cd "$(dirname "$0")" && pwd)

die() {
	echo "cluster: $*" >&2
	exit 1
}

inside() { # TEST
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 run /run
	mount --bind "$CLUSTER_DIR/kubelet" /var/lib/kubelet
	mount --make-rshared /var/lib/kubelet
	mount --bind "$CLUSTER_DIR/pods" /var/log/pods
	mount --bind "$CLUSTER_DIR/containers" /var/log/containers
	grep -q ' /sys/fs/fuse/connections ' /proc/self/mountinfo || mount -t fusectl fusectl /sys/fs/fuse/connections
	ip link set lo up
	ip address add 10.99.0.1/32 dev lo # the apiserver, as pods know it
	ip link add node type veth peer name away
	ip link set away up
	ip address add 10.77.0.1/16 dev node
	ip link set node up
	ip route add default dev node
	echo 1 >/proc/sys/net/ipv4/ip_forward
	status=0
	"$1" -test.v -test.run "^TestCluster\$${RUN:+/$RUN}" -test.timeout 60m || status=$?
	return "$status"
}

# clean removes what the kubelet has made outside of these namespaces.
clean() {
	find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null || :
	for dir in $made; do rmdir "$dir"; done
	rm -rf "$CLUSTER_DIR"
}

case ${1-} in
--inside)
	inside "$2"
	exit
	;;
esac
[ "$(id -u)" = 0 ] || die 'only root can start a cluster'
[ -z "$(find /sys/fs/cgroup -maxdepth 2 -name kubepods)" ] || die 'this machine is a node of a cluster already'
test=$1 image=$2 examples=$3
sh "$here/../../testdata/install.sh" etcd-server containernetworking-plugins mmdebstrap openssl iproute2 iptables \
	gcc pkg-config libc6-dev libseccomp-dev
CLUSTER_BIN=$(sh "$here/build-cluster.sh")
CLUSTER_DIR=$(mktemp -d /var/tmp/fusermount-cluster.XXXXXX)
CLUSTER_IMAGES=$CLUSTER_DIR/images
CLUSTER_DEPLOY=$here/../deploy
export CLUSTER_BIN CLUSTER_DIR CLUSTER_IMAGES CLUSTER_DEPLOY
made=
trap clean EXIT
trap 'exit 1' HUP INT TERM
mkdir "$CLUSTER_IMAGES" "$CLUSTER_DIR/pause" "$CLUSTER_DIR/app" "$CLUSTER_DIR/kubelet" "$CLUSTER_DIR/pods" "$CLUSTER_DIR/containers"
for dir in /var/lib/kubelet /var/log/pods /var/log/containers; do # what the kubelet's are mounted on
	[ -d "$dir" ] || { mkdir -p "$dir" && made="$made $dir"; }
done
cp "$image" "$CLUSTER_IMAGES/plugin.tar"
(cd "$here/.." && CGO_ENABLED=0 go build -o "$CLUSTER_DIR/pause/pause" ./testdata/pause && go build -o "$CLUSTER_DIR/image" ./cmd/image)
tar -C "$CLUSTER_DIR/pause" -cf "$CLUSTER_DIR/pause.rootfs" pause
tree=$(sh "$here/../../testdata/debian.sh" "$CLUSTER_BIN/debian" fuse3 bindfs sshfs openssh-sftp-server rclone fuse-overlayfs fuse3)
cp "$tree" "$CLUSTER_DIR/app.rootfs"
mkdir -p "$CLUSTER_DIR/app/usr/bin" "$CLUSTER_DIR/app/etc"
cp "$examples"/* "$CLUSTER_DIR/app/usr/bin/"
chmod 755 "$CLUSTER_DIR/app/usr/bin"/*
tar -xOf "$tree" ./etc/passwd >"$CLUSTER_DIR/app/etc/passwd"
echo 'user:x:1000:1000::/tmp:/bin/sh' >>"$CLUSTER_DIR/app/etc/passwd" # sftp-server asks for the name
tar -C "$CLUSTER_DIR/app" -rf "$CLUSTER_DIR/app.rootfs" ./usr/bin ./etc/passwd
"$CLUSTER_DIR/image" --tag localhost/pause:1 --entrypoint /pause -o "$CLUSTER_IMAGES/pause" "$(go env GOARCH)=$CLUSTER_DIR/pause.rootfs"
"$CLUSTER_DIR/image" --tag localhost/app:1 --entrypoint /bin/sh -o "$CLUSTER_IMAGES/app" "$(go env GOARCH)=$CLUSTER_DIR/app.rootfs"
unshare --mount --net --pid --fork --kill-child --mount-proc sh "$0" --inside "$test"
