package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// pauseImage is the image of pods' sandboxes.
const pauseImage = "registry.k8s.io/pause:3.6"

// cniPlugins is where Debian's package containernetworking-plugins puts them.
const cniPlugins = "/usr/lib/cni"

// settingsFolder has the kernel's settings as files.
const settingsFolder = "/proc/sys/"

// forwarding is the setting that lets the machine forward packets.
const forwarding = "net/ipv4/ip_forward"

// settings are those that are changed here, and by kubelet and kube-proxy.
var settings = []string{
	forwarding, "net/ipv4/conf/all/route_localnet",
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// startNetwork gives the machine the node's address, and lets it forward packets. The kernel's settings are noted for removeNetwork.
func (c *Cluster) startNetwork(ctx context.Context) error {
	before := make(map[string]string)
	for _, name := range settings {
		value, err := os.ReadFile(settingsFolder + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // not of every kernel
		}
		if err != nil {
			return err
		}
		before[name] = string(value)
	}
	note, err := json.Marshal(before)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.path("run/settings.json"), note, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(settingsFolder+forwarding, []byte("1"), 0o600); err != nil {
		return err
	}
	_, err = run(ctx, "ip", "address", "add", NodeIP+"/32", "dev", "lo")
	return err
}

// startContainerd starts a containerd of the cluster's own, with its own root, state and socket.
func (c *Cluster) startContainerd(ctx context.Context) error {
	// Where lowering oom_score_adj is not allowed, containers do not start without restrict_oom_score_adj. With the namespaces under
	// the state folder, they can be told from another containerd's.
	config := fmt.Sprintf(`version = 2
root = %q
state = %q
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`, c.path("containerd/root"), c.path("containerd/state"), c.socket(), c.path("containerd/opt"), pauseImage, cniPlugins, c.path("cni"))
	if err := os.WriteFile(c.path("run/containerd.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	// Each pod has a link of its own to the machine, so that all of its packets pass the rules of kube-proxy.
	cni := fmt.Sprintf(`{"cniVersion": "0.4.0", "name": %q, "plugins": [{"type": "ptp", "ipam": {
  "type": "host-local", "dataDir": %q, "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
`, network, c.path("cni-data"), nodePodCIDR)
	if err := os.WriteFile(c.path("cni/10-"+network+".conflist"), []byte(cni), 0o600); err != nil {
		return err
	}
	if err := c.start("containerd", c.pullEnv, "containerd", "--config", c.path("run/containerd.toml")); err != nil {
		return err
	}
	return c.waitFor(ctx, "containerd", func() bool { _, err := c.ctr(ctx, "version"); return err == nil })
}

func (c *Cluster) socket() string { return c.path("containerd/containerd.sock") }

// ctr runs containerd's own client on what belongs to Kubernetes.
func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	return run(ctx, "ctr", append([]string{"--address", c.socket(), "--namespace", "k8s.io"}, args...)...)
}

// startNode starts kubelet and kube-proxy, and waits for the node to be ready.
func (c *Cluster) startNode(ctx context.Context) error {
	file := c.pki.file
	// cgroup v1 is still what some machines have. kube-proxy must not take seconds for a new endpoint: a name that is asked for at once
	// would hang as long.
	kubelet := fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %s}}
authorization: {mode: Webhook}
tlsCertFile: %s
tlsPrivateKeyFile: %s
cgroupDriver: cgroupfs
failCgroupV1: false
containerRuntimeEndpoint: unix://%s
podLogsDir: %s
oomScoreAdj: 0
clusterDNS: [%s]
clusterDomain: cluster.local
evictionHard: {memory.available: 100Mi, nodefs.available: "1%%", imagefs.available: "1%%"}
imageGCHighThresholdPercent: 100
syncFrequency: 10s
serializeImagePulls: false
`, file("ca.crt"), file("kubelet-server.crt"), file("kubelet-server.key"), c.socket(), c.PodLogs(), dnsIP)
	proxy := fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
oomScoreAdj: 0
mode: iptables
clusterCIDR: %s
clientConnection: {kubeconfig: %s}
iptables: {minSyncPeriod: 100ms}
hostnameOverride: %s
`, PodCIDR, file("kube-proxy.kubeconfig"), nodeName)
	for name, content := range map[string]string{"kubelet": kubelet, "kube-proxy": proxy} {
		if err := os.WriteFile(c.path("run/"+name+".yaml"), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := c.start("kubelet", nil, c.bin("kubelet"), "--config="+c.path("run/kubelet.yaml"), "--kubeconfig="+file("kubelet.kubeconfig"),
		"--root-dir="+c.path("kubelet"), "--hostname-override="+nodeName, "--node-ip="+NodeIP); err != nil {
		return err
	}
	if err := c.start("kube-proxy", nil, c.bin("kube-proxy"), "--config="+c.path("run/kube-proxy.yaml")); err != nil {
		return err
	}
	return c.waitFor(ctx, "kubelet", func() bool {
		state, err := c.kubectl(ctx, "get", "node", nodeName, "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		return err == nil && strings.TrimSpace(state) == "True"
	})
}
