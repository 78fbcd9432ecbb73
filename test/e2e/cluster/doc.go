// Package cluster runs a real Kubernetes of one node on this machine: etcd, API server, controller manager, scheduler, a containerd of
// its own, kubelet, kube-proxy and CoreDNS. It needs root, and programs built by ../build.sh.
//
// Nothing in it reaches the internet: names that the cluster does not have itself are all answered with the node's address or not at all.
// What it starts and makes is noted in its folder, so that the next Start removes what a killed run has left.
package cluster
