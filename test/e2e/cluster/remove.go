package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
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
	for _, name := range slices.Backward(Programs[1:]) { // containerd has to end the containers first
		errs = append(errs, c.stop(name))
	}
	for _, step := range []func(context.Context) error{c.removeContainers, c.removeMounts, c.removeNetwork, c.removeControlGroups, c.removeLinks} {
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

// removeNetwork removes the node's address, the links to pods, the rules of kubelet and kube-proxy, and puts the kernel's settings back as they were.
func (c *Cluster) removeNetwork(ctx context.Context) error {
	if err := c.restoreSettings(); err != nil {
		return err
	}
	if addresses, err := run(ctx, "ip", "address", "show", "dev", "lo"); err != nil {
		return err
	} else if strings.Contains(addresses, NodeIP+"/32") {
		if _, err := run(ctx, "ip", "address", "delete", NodeIP+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	if err := removeInterfaces(ctx); err != nil {
		return err
	}
	for _, family := range []string{"iptables", "ip6tables"} {
		if err := removeRules(ctx, family); err != nil {
			return err
		}
	}
	return nil
}

// removeInterfaces removes the machine's ends of the links to pods. The kernel does so when nothing has a pod's network any more, up to minutes later.
func removeInterfaces(ctx context.Context) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	pods := netip.MustParsePrefix(nodePodCIDR)
	for _, link := range interfaces {
		addresses, err := link.Addrs()
		if err != nil || !strings.HasPrefix(link.Name, "veth") || !slices.ContainsFunc(addresses, func(a net.Addr) bool {
			address, err := netip.ParsePrefix(a.String())
			return err == nil && pods.Contains(address.Addr())
		}) {
			continue // another's, or gone meanwhile
		}
		if _, err := run(ctx, "ip", "link", "delete", link.Name); err != nil && !strings.Contains(err.Error(), "Cannot find device") {
			return err
		}
	}
	return nil
}

// restoreSettings gives the kernel the settings that it had.
func (c *Cluster) restoreSettings() error {
	note, err := os.ReadFile(c.path("run/settings.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	before := make(map[string]string)
	if err == nil {
		err = json.Unmarshal(note, &before)
	}
	if err != nil {
		return err
	}
	for name, value := range before {
		if now, err := os.ReadFile(settingsFolder + name); err == nil && string(now) == value {
			continue // some cannot be written everywhere
		}
		if err := os.WriteFile(settingsFolder+name, []byte(value), 0o600); err != nil {
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

// removeLinks removes the kubelet's links to logs of pods, which it has in no other place than this.
func (c *Cluster) removeLinks(context.Context) error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	if err != nil {
		return err
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, c.PodLogs()+"/") {
			if err := os.Remove(link); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeControlGroups removes the control groups of pods and of containerd, which are empty by now. There is a tree a controller, or one for all.
func (c *Cluster) removeControlGroups(context.Context) error {
	tops := []string{"/sys/fs/cgroup/kubepods", "/sys/fs/cgroup/k8s.io"}
	for _, name := range []string{"kubepods", "k8s.io"} {
		of, err := filepath.Glob("/sys/fs/cgroup/*/" + name)
		if err != nil {
			return err
		}
		tops = append(tops, of...)
	}
	for _, top := range tops {
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
