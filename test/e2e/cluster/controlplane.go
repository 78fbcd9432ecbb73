package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	apiAddress  = "127.0.0.1:6443"
	etcdAddress = "127.0.0.1:2379"
	etcdPeer    = "127.0.0.1:2380"

	// readyTime is how long a program may take to serve. On a busy machine the API server takes 20 s.
	readyTime = 2 * time.Minute
)

func (c *Cluster) startControlPlane(ctx context.Context) error {
	file := c.pki.file
	if err := c.start("etcd", nil, c.bin("etcd"), "--name=e2e", "--data-dir="+c.path("etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://"+etcdAddress, "--advertise-client-urls=http://"+etcdAddress,
		"--listen-peer-urls=http://"+etcdPeer, "--initial-advertise-peer-urls=http://"+etcdPeer, "--initial-cluster=e2e=http://"+etcdPeer); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	kubeconfigs := func(user string) []string {
		return []string{"--kubeconfig=" + file(user+".kubeconfig"), "--authentication-kubeconfig=" + file(user+".kubeconfig"),
			"--authorization-kubeconfig=" + file(user+".kubeconfig"), "--bind-address=127.0.0.1", "--leader-elect=false"}
	}
	if err := c.start("kube-controller-manager", nil, c.bin("kube-controller-manager"), append(kubeconfigs("controller-manager"),
		"--root-ca-file="+file("ca.crt"), "--service-account-private-key-file="+file("sa.key"), "--use-service-account-credentials=true",
		"--cluster-signing-cert-file="+file("ca.crt"), "--cluster-signing-key-file="+file("ca.key"), "--client-ca-file="+file("ca.crt"),
		"--requestheader-client-ca-file="+file("front-proxy-ca.crt"),
		"--allocate-node-cidrs=true", "--cluster-cidr="+PodCIDR, "--service-cluster-ip-range="+ServiceCIDR)...); err != nil {
		return err
	}
	return c.start("kube-scheduler", nil, c.bin("kube-scheduler"), kubeconfigs("scheduler")...)
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	file := c.pki.file
	if err := c.start("kube-apiserver", nil, c.bin("kube-apiserver"),
		"--etcd-servers=http://"+etcdAddress, "--bind-address=0.0.0.0", "--advertise-address="+NodeIP, "--secure-port=6443",
		"--tls-cert-file="+file("apiserver.crt"), "--tls-private-key-file="+file("apiserver.key"), "--client-ca-file="+file("ca.crt"),
		"--kubelet-client-certificate="+file("kubelet-client.crt"), "--kubelet-client-key="+file("kubelet-client.key"),
		"--kubelet-certificate-authority="+file("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		// The public half of the signing key is read from the same file.
		"--service-account-key-file="+file("sa.key"), "--service-account-signing-key-file="+file("sa.key"), "--service-account-issuer="+c.o.Issuer,
		"--requestheader-client-ca-file="+file("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file="+file("front-proxy-client.crt"), "--proxy-client-key-file="+file("front-proxy-client.key"),
		"--service-cluster-ip-range="+ServiceCIDR, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true"); err != nil {
		return err
	}
	return c.waitForAPIServer(ctx)
}

func (c *Cluster) waitForAPIServer(ctx context.Context) error {
	return c.waitFor(ctx, "kube-apiserver", func() bool {
		_, err := c.kubectl(ctx, "get", "--raw", "/readyz")
		return err == nil
	})
}

// waitFor waits until a program that was started is ready, or has ended.
func (c *Cluster) waitFor(ctx context.Context, name string, ready func() bool) error {
	ended := false
	err := wait(ctx, readyTime, func() bool {
		ended = !c.running(name)
		return ended || ready()
	})
	switch {
	case ended:
		return fmt.Errorf("%s ended: see %s", name, c.LogFile(name))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s is not ready after %s: see %s", name, readyTime, c.LogFile(name))
	case err != nil:
		return fmt.Errorf("waiting for %s: %w", name, err)
	}
	return nil
}

func (c *Cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	return run(ctx, c.bin("kubectl"), append([]string{"--kubeconfig=" + c.Kubeconfig(), "--request-timeout=5s"}, args...)...)
}
