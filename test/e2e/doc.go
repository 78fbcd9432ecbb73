// Command e2e checks Ratify where it is used: in a real Kubernetes with a real Gatekeeper, installed by the chart, with the image, on an
// emulated Alibaba Cloud that containerd pulls from and that verifies the cluster's own service account tokens. The user's tools are kubectl
// and helm. run.sh builds what it needs and starts it; docs/e2e.md explains.
package main
