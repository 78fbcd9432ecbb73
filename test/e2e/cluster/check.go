package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	// enoughMemory is what a run takes, with all that it deploys, and what the kubelet wants left.
	enoughMemory = 1536 << 20
	// enoughDisk is what images, their archives and logs take.
	enoughDisk = 2 << 30
)

// programs are those of the machine, by the Debian packages that have them.
var programs = map[string][]string{
	"containerd":   {"containerd", "ctr", "containerd-shim-runc-v2"},
	"runc":         {"runc"},
	"iptables":     {"iptables", "iptables-save", "iptables-restore"},
	"iproute2":     {"ip"},
	"mount":        {"mount", "umount"},
	"cni plug-ins": {cniPlugins + "/ptp", cniPlugins + "/host-local", cniPlugins + "/loopback"},
}

// ports are those that the cluster's programs listen on.
var ports = []int{6443, 2379, 2380, 10248, 10249, 10250, 10256, 10257, 10259}

// Check tries what a cluster in a folder needs of this machine, and returns what is missing: all of it, as whoever provides the machine
// should have to do so once.
func Check(folder string) error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster runs containers: start it as root")
	}
	var missing []error
	for _, need := range []struct {
		what string
		try  func() error
	}{
		{"programs", missingPrograms},
		{"namespaces of its own for a process, which containers are", tryNamespaces},
		{"mounts", func() error { return tryMounts(folder) }},
		{"control groups", tryControlGroups},
		{"network interfaces for pods", tryInterfaces},
		{"rules of iptables, which lead to Services", func() error { return try("iptables", "--table=nat", "--list-rules") }},
		{"forwarding of packets between pods", tryForwarding},
		{"memory", tryMemory},
		{"disk space", func() error { return tryDisk(folder) }},
	} {
		if err := need.try(); err != nil {
			missing = append(missing, fmt.Errorf("- %s: %w", need.what, err))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("this machine cannot run a cluster; it lacks\n%w\n(in a container: it has to be a privileged one)", errors.Join(missing...))
	}
	return nil
}

func missingPrograms() error {
	var missing []string
	for name, files := range programs {
		for _, file := range files {
			if _, err := exec.LookPath(file); err != nil {
				missing = append(missing, fmt.Sprintf("%s (%s)", file, name))
			}
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("not installed: %s", strings.Join(missing, ", "))
	}
	return nil
}

// try runs a program that only asks.
func try(program string, args ...string) error {
	output, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(output))
	}
	return nil
}

func tryNamespaces() error {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC}
	return cmd.Run()
}

// tryMounts mounts what volumes and containers are: tmpfs and overlay, where the cluster has them.
func tryMounts(folder string) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	top, err := os.MkdirTemp(folder, "check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	path := func(name string) string { return filepath.Join(top, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(path(name), 0o755); err != nil {
			return err
		}
	}
	if err := syscall.Mount("tmpfs", path("merged"), "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	if err := syscall.Unmount(path("merged"), 0); err != nil {
		return fmt.Errorf("unmount a tmpfs: %w", err)
	}
	if err := syscall.Mount("overlay", path("merged"), "overlay", 0, "lowerdir="+path("lower")+",upperdir="+path("upper")+",workdir="+path("work")); err != nil {
		return fmt.Errorf("mount an overlay in %s (set RATIFY_E2E_CACHE to a folder on another file system): %w", folder, err)
	}
	return syscall.Unmount(path("merged"), 0)
}

func tryControlGroups() error {
	const top = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(top + "/cgroup.controllers")
	one := err == nil // version 2: one tree for all
	var missing []string
	for _, controller := range []string{"cpu", "cpuset", "memory", "pids"} {
		folder := filepath.Join(top, controller)
		if one {
			folder = top
			if !slices.Contains(strings.Fields(string(controllers)), controller) {
				missing = append(missing, controller)
				continue
			}
		}
		group := filepath.Join(folder, "ratify-e2e")
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make one for %s: %w", controller, err)
		}
		if err := os.Remove(group); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s/cgroup.controllers lacks %s", top, strings.Join(missing, ", "))
	}
	return nil
}

func tryInterfaces() error {
	const one, other = "ratify-e2e-0", "ratify-e2e-1"
	_ = exec.Command("ip", "link", "delete", one).Run() // of a check that was killed
	if err := try("ip", "link", "add", one, "type", "veth", "peer", "name", other); err != nil {
		return err
	}
	return try("ip", "link", "delete", one)
}

func tryForwarding() error {
	file, err := os.OpenFile(settingsFolder+forwarding, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return file.Close()
}

func tryMemory() error {
	table, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemAvailable:" {
			kib, err := strconv.Atoi(fields[1])
			if err == nil && kib<<10 < enoughMemory {
				err = fmt.Errorf("%d MiB are available, a cluster takes %d", kib>>10, enoughMemory>>20)
			}
			return err
		}
	}
	return nil
}

func tryDisk(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return err
	}
	if free := stat.Bavail * uint64(stat.Bsize); free < enoughDisk {
		return fmt.Errorf("%d MiB are free in %s, a cluster takes %d", free>>20, folder, enoughDisk>>20)
	}
	return nil
}

// checkFree returns an error if something has what the cluster is about to use: once all of an earlier run is gone, that is not ours.
func checkFree(ports []int) error {
	var busy []string
	for _, port := range ports {
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			busy = append(busy, fmt.Sprintf("port %d (%v)", port, err))
			continue
		}
		_ = listener.Close()
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, network := range []string{NodeIP + "/32", PodCIDR, ServiceCIDR} {
		prefix := netip.MustParsePrefix(network)
		for _, address := range addresses {
			if taken, err := netip.ParsePrefix(address.String()); err == nil && prefix.Overlaps(taken) {
				busy = append(busy, fmt.Sprintf("network %s (%s)", network, taken))
			}
		}
	}
	if len(busy) > 0 {
		return fmt.Errorf("in use already, perhaps by another Kubernetes: %s", strings.Join(busy, ", "))
	}
	return nil
}
