package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// removeTime bounds the removal of a cluster, which takes about 10 s.
const removeTime = 2 * time.Minute

// remove ends and removes what is there of a cluster, be it all of one or what a killed run has left: programs and containers, mounts,
// rules, addresses, control groups and files. Logs stay.
func (c *Cluster) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTime)
	defer cancel()
	var errs []error
	for _, name := range []string{"kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"} {
		errs = append(errs, c.stop(name))
	}
	for _, step := range []func(context.Context) error{c.removeContainers, c.removeMounts, c.removeNetwork, c.removeControlGroups} {
		errs = append(errs, step(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, folder := range []string{"etcd", "kubelet", "containerd", "cni", "cni-data", "images", "pki", "run"} {
		errs = append(errs, os.RemoveAll(c.path(folder)))
	}
	return errors.Join(errs...)
}

// removeContainers ends all containers, and containerd. One that was killed is started again for that: only it knows them.
func (c *Cluster) removeContainers(ctx context.Context) error {
	if _, err := os.Stat(c.path("containerd/state")); errors.Is(err, fs.ErrNotExist) {
		return c.stop("containerd")
	}
	if !c.running("containerd") {
		if err := c.startContainerd(ctx); err != nil {
			return err
		}
	}
	list := func(what string) []string {
		output, _ := c.ctr(ctx, what, "list", "--quiet")
		return strings.Fields(output)
	}
	for _, task := range list("tasks") {
		_, _ = c.ctr(ctx, "tasks", "kill", "--all", "--signal", "SIGKILL", task) // it may have ended
	}
	err := wait(ctx, stopTime, func() bool {
		for _, task := range list("tasks") {
			_, _ = c.ctr(ctx, "tasks", "delete", "--force", task)
		}
		return len(list("tasks")) == 0
	})
	if err != nil {
		return fmt.Errorf("containers do not end: %s: %w", strings.Join(list("tasks"), " "), err)
	}
	for _, container := range list("containers") {
		_, _ = c.ctr(ctx, "containers", "delete", container)
		cached, err := filepath.Glob("/var/lib/cni/results/*-" + container + "-*") // the CNI library knows no other place
		if err != nil {
			return err
		}
		for _, file := range cached {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return c.stop("containerd")
}

// removeMounts unmounts all below the cluster's folder, innermost first: volumes, containers' file systems, network namespaces, and the
// kubelet's folder, which it mounts on itself.
func (c *Cluster) removeMounts(context.Context) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var below []string
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], c.o.Dir+"/") {
			below = append(below, fields[4])
		}
	}
	slices.SortFunc(below, func(a, b string) int { return strings.Compare(b, a) })
	var errs []error
	for _, mount := range below {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %w", mount, err))
		}
	}
	return errors.Join(errs...)
}

// removeNetwork removes the node's address, the rules of kubelet and kube-proxy, and puts forwarding back as it was.
func (c *Cluster) removeNetwork(ctx context.Context) error {
	if before, err := os.ReadFile(c.path("run/ip_forward")); err == nil {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", before, 0o600); err != nil {
			return err
		}
	}
	if addresses, err := run(ctx, "ip", "address", "show", "dev", "lo"); err != nil {
		return err
	} else if strings.Contains(addresses, NodeIP+"/32") {
		if _, err := run(ctx, "ip", "address", "delete", NodeIP+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	for _, family := range []string{"iptables", "ip6tables"} {
		if err := removeRules(ctx, family); err != nil {
			return err
		}
	}
	return nil
}

// removeRules removes the chains that Kubernetes made, and the rules that lead to them.
func removeRules(ctx context.Context, family string) error {
	rules, err := exec.CommandContext(ctx, family+"-save").Output() // what it says on stderr is about legacy tables
	if err != nil || !strings.Contains(string(rules), "KUBE-") {
		return nil // a kernel without IPv6, or nothing to remove
	}
	var others strings.Builder
	for line := range strings.Lines(string(rules)) {
		if !strings.Contains(line, "KUBE-") {
			others.WriteString(line)
		}
	}
	restore := exec.CommandContext(ctx, family+"-restore")
	restore.Stdin = strings.NewReader(others.String())
	if output, err := restore.CombinedOutput(); err != nil {
		return fmt.Errorf("%s-restore: %w: %s", family, err, output)
	}
	return nil
}

// removeControlGroups removes the control groups of pods, which are empty by now. There is a tree a controller, or one for all.
func (c *Cluster) removeControlGroups(context.Context) error {
	tops, err := filepath.Glob("/sys/fs/cgroup/*/kubepods")
	if err != nil {
		return err
	}
	for _, top := range append(tops, "/sys/fs/cgroup/kubepods") {
		var groups []string
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		for _, group := range slices.Backward(groups) {
			_ = os.Remove(group) // one that another containerd uses stays
		}
	}
	return nil
}
