package main

import (
	"cmp"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

const (
	// heapGrowth is by how much the heap grows, over what is live, until the collector runs. Go's own rule, by as much as is live, has a server that
	// keeps little collect after every few hundred requests, which is a tenth of its work, and one that keeps much take twice of it.
	heapGrowth = 24 << 20
	// leastPercent is for large heaps, for which so little growth would mean to collect all the time.
	leastPercent = 50
	// leastLive is what Go takes a heap for that is smaller.
	leastLive = 4 << 20
	// limitShare is the share of a container's memory that the heap and all else of Go may take before the collector works harder. What is left
	// is for the kernel's buffers, and the program's own pages that it cannot do without.
	limitShare = 0.9
)

// tuneMemory makes the best of the memory that there is. GOMEMLIMIT and GOGC in the environment come first, as in all Go programs.
func tuneMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit, ok := containerLimit(os.DirFS("/")); ok {
			debug.SetMemoryLimit(int64(float64(limit) * limitShare))
		}
	}
	if os.Getenv("GOGC") == "" {
		paceCollector()
	}
}

// paceCollector has the collector run when the heap has grown by heapGrowth since it last did.
func paceCollector() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(growthPercent(live[0].Value.Uint64()))
	afterCollection(paceCollector)
}

// growthPercent returns heapGrowth in percent of what is live.
func growthPercent(live uint64) int {
	return max(leastPercent, 100*heapGrowth/int(max(live, leastLive)))
}

// afterCollection calls do once, after the collector has run.
func afterCollection(do func()) {
	runtime.AddCleanup(new([64]byte), func(do func()) { do() }, do)
}

// containerLimit returns the lowest limit in bytes of the control groups that this process is in, if there is one
// (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html). A container sees its own group
// as the root, whether or not the names of groups are those of the host, so that groups that are not there are passed over.
func containerLimit(root fs.FS) (limit uint64, ok bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	limit = math.MaxUint64
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(parts) != 3 {
			continue
		}
		folder, file := "sys/fs/cgroup", "memory.max"
		switch parts[1] {
		case "": // of version 2
		case "memory":
			folder, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			text, err := fs.ReadFile(root, path.Join(folder, group, file))
			if bytes, notNumber := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); cmp.Or(err, notNumber) == nil { // "max" is none
				limit, ok = min(limit, bytes), true
			}
			if group == "/" {
				break
			}
		}
	}
	return limit, ok && limit <= math.MaxInt64
}
