package main

import (
	"runtime"
	"testing"
	"testing/fstest"
)

func TestContainerLimit(t *testing.T) {
	for name, tc := range map[string]struct {
		files map[string]string
		want  uint64 // 0: none
	}{
		"no control groups": {nil, 0},
		"version 2, a namespace of its own": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"version 2, no limit": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"version 2, the host's root": {map[string]string{"proc/self/cgroup": "0::/\n"}, 0},
		"version 2, the host's names and the host's files": {map[string]string{
			"proc/self/cgroup":                           "0::/kubepods/pod1/abc\n",
			"sys/fs/cgroup/kubepods/pod1/abc/memory.max": "max\n",
			"sys/fs/cgroup/kubepods/pod1/memory.max":     "268435456\n",
			"sys/fs/cgroup/kubepods/memory.max":          "8589934592\n"}, 256 << 20},
		"version 2, the host's names and the container's files": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod1/abc\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"version 2, a group outside of the namespace": {map[string]string{
			"proc/self/cgroup": "0::/../other\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"version 1, the host's names and the container's files": {map[string]string{
			"proc/self/cgroup":                           "12:cpu,cpuacct:/docker/abc\n7:memory:/docker/abc\n1:name=systemd:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n"}, 512 << 20},
		"version 1, no limit": {map[string]string{
			"proc/self/cgroup":                           "7:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 9223372036854771712},
		"both, of which one has the memory": {map[string]string{
			"proc/self/cgroup": "7:memory:/docker/abc:d\n0::/docker/abc:d\n",
			"sys/fs/cgroup/memory/docker/abc:d/memory.limit_in_bytes": "536870912\n"}, 512 << 20},
		"what is no such file": {map[string]string{
			"proc/self/cgroup": "rubbish\n0:\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 0},
		"more than there can be": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "18446744073709551615\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for path, text := range tc.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if got, ok := containerLimit(root); ok != (tc.want != 0) || ok && got != tc.want {
				t.Errorf("%d, %v; want %d", got, ok, tc.want)
			}
		})
	}
}

func TestGrowthPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 600, 6 << 20: 400, 24 << 20: 100, 40 << 20: 60, 48 << 20: 50, 1 << 30: 50} {
		if got := growthPercent(live); got != want {
			t.Errorf("%d live bytes: %d%%, want %d%%", live, got, want)
		}
	}
}

func TestAfterCollection(t *testing.T) {
	done := make(chan struct{})
	afterCollection(func() { afterCollection(func() { close(done) }) })
	for {
		runtime.GC()
		select {
		case <-done:
			return
		default:
		}
	}
}
