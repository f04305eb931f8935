// Package e2e tests the node plugin from outside: as the kubelet calls it, and as pods use what it
// gives them.
package e2e
