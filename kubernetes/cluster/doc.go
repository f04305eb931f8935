// Package cluster tests the node plugin in a cluster of one node: etcd, apiserver, kubelet, containerd
// and runc as they are. "make test-kubernetes" builds them, and runs this in namespaces of its own.
package cluster
