package cache

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func TestMemoryIsBounded(t *testing.T) {
	const each = 300 + entryCost
	m := NewMemory[string](2*each+each/2, 0, time.Now)
	for i := range 5 {
		m.Put(fmt.Sprint(i), "v", 299) // the key costs one
	}
	kept := 0
	for i := range 5 {
		if _, ok := m.Get(fmt.Sprint(i)); ok {
			kept++
			if i < 3 {
				t.Errorf("%d is older than what was dropped", i)
			}
		}
	}
	if kept != 2 || m.cost != 2*each {
		t.Errorf("%d values of cost %d are kept", kept, m.cost)
	}
	m.Get("3")
	m.Put("n", "v", 299)
	if _, ok := m.Get("4"); ok {
		t.Error("what was used last was dropped first")
	}
	m.Put("huge", "v", m.maxCost)
	if _, ok := m.Get("huge"); ok {
		t.Error("a value beyond the whole cache was kept")
	}
	for range 10 {
		m.Put("n", "v2", 1)
	}
	if v, ok := m.Get("n"); !ok || v != "v2" || m.cost > m.maxCost {
		t.Errorf("after replacing: %q at cost %d", v, m.cost)
	}
}

func TestMemoryEnds(t *testing.T) {
	now := time.Unix(0, 0)
	m := NewMemory[int](1000, time.Minute, func() time.Time { return now })
	m.Put("k", 1, 1)
	now = now.Add(59 * time.Second)
	if _, ok := m.Get("k"); !ok {
		t.Error("ended early")
	}
	now = now.Add(time.Second)
	if _, ok := m.Get("k"); ok || m.cost != 0 {
		t.Errorf("did not end, cost %d", m.cost)
	}
}

func TestMemoryDropsWhatHasEnded(t *testing.T) {
	now := time.Unix(0, 0)
	m := NewMemory[int](1<<20, time.Minute, func() time.Time { return now })
	for i := range 1000 {
		m.Put(fmt.Sprint(i), i, 1)
		now = now.Add(time.Second)
	}
	if n := m.items.Len(); n != 60 {
		t.Errorf("%d values are kept, and one a second lived for a minute", n)
	}
}

// What a cache says that its values cost is about what they take.
func TestCostIsWhatMemoryTakes(t *testing.T) {
	for _, size := range []int{16, 1000, 7000} {
		const most = 2 << 20
		before := heap()
		m := NewMemory[[]byte](most, time.Hour, time.Now)
		for i := range most / size {
			m.Put(fmt.Sprintf("registry.example.com/team/application-%08d@sha256:0123456789abcdef", i), make([]byte, size), int64(size))
		}
		taken := heap() - before
		if taken < most*3/4 || taken > most*5/4 {
			t.Errorf("values of %d bytes: %d bytes are taken, and %d were allowed", size, taken, most)
		}
		runtime.KeepAlive(m)
	}
}

// heap returns the bytes of what is reachable.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func open(t *testing.T, path string, maxBytes int64) *Disk {
	t.Helper()
	d, err := OpenDisk(path, maxBytes, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDisk(t *testing.T) {
	path := t.TempDir()
	d := open(t, path, 1000)
	data := []byte("content")
	id := digest.FromBytes(data)
	if err := d.Put("host/app", id, data); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Disk{d, open(t, path, 1000)} {
		if got, ok := d.Get("host/app", id, 100); !ok || !bytes.Equal(got, data) {
			t.Errorf("%q, %v", got, ok)
		}
	}
	if _, ok := d.Get("host/other", id, 100); ok {
		t.Error("another repository's content")
	}
	if _, ok := d.Get("host/app", id, 3); ok {
		t.Error("more than asked for")
	}
	if err := os.WriteFile(d.name("host/app", id), []byte("CONTENT"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Get("host/app", id, 100); ok {
		t.Error("content without its digest")
	}
	if _, err := os.Stat(d.name("host/app", id)); !os.IsNotExist(err) || d.bytes != 0 {
		t.Errorf("the file was not removed: %v, %d bytes", err, d.bytes)
	}
	if err := os.Symlink("/etc/passwd", d.name("host/app", id)); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Get("host/app", id, 1<<20); ok {
		t.Error("a symbolic link was followed")
	}
}

func TestDiskIsBounded(t *testing.T) {
	path := t.TempDir()
	foreign := filepath.Join(path, "oci-layout")
	if err := os.WriteFile(foreign, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, path, 1000)
	var ids []digest.Digest
	for i := range 30 {
		data := bytes.Repeat([]byte{byte(i)}, 100)
		ids = append(ids, digest.FromBytes(data))
		if err := d.Put("host/app", ids[i], data); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(time.Duration(i-100) * time.Minute) // a file system's clock may be too coarse to order them
		if err := os.Chtimes(d.name("host/app", ids[i]), old, old); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := filepath.Glob(filepath.Join(path, diskFolder, "*", "*"))
	if len(files) > 10 || len(files) < 8 {
		t.Errorf("%d files of 100 bytes are kept", len(files))
	}
	if _, ok := d.Get("host/app", ids[0], 100); ok {
		t.Error("the oldest is kept")
	}
	if _, ok := d.Get("host/app", ids[28], 100); !ok {
		t.Error("a young one is gone")
	}
	if err := d.Put("host/app", digest.FromString("x"), make([]byte, 1001)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("a file that is not the cache's: %v", err)
	}
	abandoned := filepath.Join(path, diskFolder, temporaryPrefix+"1")
	if err := os.WriteFile(abandoned, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * abandonedAfter)
	if err := os.Chtimes(abandoned, old, old); err != nil {
		t.Fatal(err)
	}
	if d = open(t, path, 300); d.bytes > 300 {
		t.Errorf("%d bytes after opening with a lower limit", d.bytes)
	}
	if _, err := os.Stat(abandoned); !os.IsNotExist(err) {
		t.Errorf("an abandoned file is kept: %v", err)
	}
}

func TestDiskConcurrently(t *testing.T) {
	d := open(t, t.TempDir(), 1000)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 50 {
				data := bytes.Repeat([]byte{byte(n % 20)}, 100)
				id := digest.FromBytes(data)
				if err := d.Put("host/app", id, data); err != nil {
					t.Errorf("%d: %v", i, err)
				}
				if got, ok := d.Get("host/app", id, 100); ok && !bytes.Equal(got, data) {
					t.Error("wrong content")
				}
			}
		})
	}
	wg.Wait()
}

func TestUnusableDisk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDisk(file, 1000, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file as a folder")
	}
}
