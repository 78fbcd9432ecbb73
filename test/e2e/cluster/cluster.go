package cluster

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	// NodeIP is the node's address, which the machine has on its loopback interface while the cluster runs. Pods reach the machine by it.
	NodeIP = "10.250.0.1"
	// PodCIDR and ServiceCIDR are the cluster's networks.
	PodCIDR     = "10.244.0.0/16"
	ServiceCIDR = "10.96.0.0/16"

	nodePodCIDR = "10.244.0.0/24"
	apiIP       = "10.96.0.1"
	dnsIP       = "10.96.0.10"
	nodeName    = "node"
	network     = "ratify-e2e" // of CNI
)

// Options for New.
type Options struct {
	Dir    string // the cluster's folder; it is emptied
	Bin    string // the folder of etcd, kube-apiserver and the others
	Issuer string // of service account tokens
	// Zone is a DNS zone, such as aliyuncs.com, all of whose names are the node's address for pods.
	Zone string
	Log  func(format string, args ...any)
}

// Programs are the names of a cluster's programs, in the order in which they start.
var Programs = []string{"containerd", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"}

// Cluster is a cluster of one node. Make it with New.
type Cluster struct {
	o        Options
	pki      *pki
	lock     machineLock
	pullEnv  []string
	programs map[string]func() *exec.Cmd // that were started
}

// New removes what an earlier run left, here or in another folder, and makes the cluster's keys. It fails if the machine cannot run a cluster, or
// has one.
func New(o Options) (c *Cluster, err error) {
	if err := Check(o.Dir); err != nil {
		return nil, err
	}
	lock, killed, err := lockMachine(lockFile, o.Dir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.release(false))
		}
	}()
	for _, folder := range []string{o.Dir, killed} {
		if folder == "" {
			continue
		}
		if err := (&Cluster{o: Options{Dir: folder}, programs: make(map[string]func() *exec.Cmd)}).remove(); err != nil {
			return nil, fmt.Errorf("removing what an earlier run left in %s: %w", folder, err)
		}
	}
	if err := checkFree(ports); err != nil {
		return nil, err
	}
	c = &Cluster{o: o, lock: lock, programs: make(map[string]func() *exec.Cmd)}
	if err := os.RemoveAll(c.path("logs")); err != nil {
		return nil, err
	}
	for _, folder := range []string{"pki", "run", "logs", "cni", "images"} {
		if err := os.MkdirAll(c.path(folder), 0o755); err != nil {
			return nil, err
		}
	}
	if c.pki, err = newPKI(c.path("pki")); err != nil {
		return nil, fmt.Errorf("making the cluster's keys: %w", err)
	}
	return c, nil
}

// TokenKey returns the public key of service account tokens.
func (c *Cluster) TokenKey() crypto.PublicKey { return c.pki.tokenKey.Public() }

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("pki/admin.kubeconfig") }

// Server returns the API server's address.
func (c *Cluster) Server() string { return "https://" + apiAddress }

// PodFile returns the path on this machine of a file in a projected volume of a pod.
func (c *Cluster) PodFile(podUID, volume, file string) string {
	return c.path("kubelet/pods/" + podUID + "/volumes/kubernetes.io~projected/" + volume + "/" + file)
}

// LogFile returns the path of a program's log.
func (c *Cluster) LogFile(program string) string { return c.path("logs/" + program + ".log") }

// PodLogs returns the folder of the logs of pods, one a container.
func (c *Cluster) PodLogs() string { return c.path("logs/pods") }

// Start starts everything and returns when CoreDNS serves. pullEnv is the environment of containerd, as KEY=value: how it reaches
// registries. images are those that pods may use without a registry.
func (c *Cluster) Start(ctx context.Context, pullEnv []string, images ...Image) error {
	c.pullEnv = pullEnv
	began := time.Now()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"network", c.startNetwork},
		{"containerd", c.startContainerd},
		{"API server", c.startControlPlane},
		{"images", func(ctx context.Context) error { return c.Import(ctx, images...) }},
		{"node", c.startNode},
		{"DNS", c.startDNS},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("starting the cluster: %s: %w", step.what, err)
		}
		c.o.Log("cluster: %s after %.1f s", step.what, time.Since(began).Seconds())
	}
	return nil
}

// Stop ends the cluster and removes all that it made, but for its logs.
func (c *Cluster) Stop() error {
	err := c.remove()
	return errors.Join(err, c.lock.release(err == nil))
}

func (c *Cluster) path(name string) string { return filepath.Join(c.o.Dir, name) }

func (c *Cluster) bin(name string) string { return filepath.Join(c.o.Bin, name) }
