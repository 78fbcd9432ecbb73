package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	// diskFolder is where contents are put below the configured path, which may also hold an OCI layout of upstream's store.
	diskFolder = "contents-v1"
	// temporaryPrefix starts the names of files that are still being written.
	temporaryPrefix = ".tmp-"
	// abandonedAfter is when a file that is still being written counts as left behind by a process that died.
	abandonedAfter = time.Hour
	// trimTo is the share of its bytes that a full disk cache keeps, so that it does not have to look for old files at each Put.
	trimTo = 0.9
)

// Disk keeps contents in files: one folder for each repository, so that access to one repository gives none to another's
// contents, and in it one file for each digest. Files are written whole or not at all, and several processes may share
// a folder. Make one with OpenDisk. A Disk is safe for concurrent use.
type Disk struct {
	root     string
	maxBytes int64
	log      *slog.Logger

	mu    sync.Mutex
	bytes int64
}

// OpenDisk makes the cache's folder below path and finds out what it holds. It fails when it cannot write there.
func OpenDisk(path string, maxBytes int64, log *slog.Logger) (*Disk, error) {
	d := &Disk{root: filepath.Join(path, diskFolder), maxBytes: maxBytes, log: log}
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return nil, err
	}
	probe, err := os.CreateTemp(d.root, temporaryPrefix)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, err
	}
	return d, d.trim(maxBytes)
}

// Get returns the content with this digest that was put for this repository. Content that no longer has its digest is
// removed and not returned. Content larger than maxSize is not returned either.
func (d *Disk) Get(repository string, id digest.Digest, maxSize int64) ([]byte, bool) {
	name := d.name(repository, id)
	info, err := os.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, false
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, false
	}
	if id.Algorithm().FromBytes(content) != id {
		d.log.Warn("a file of the disk cache does not have its digest and is removed", "file", name)
		d.remove(name, info.Size())
		return nil, false
	}
	now := time.Now()
	_ = os.Chtimes(name, now, now) // the time of use decides which files go first; a miss here only ages the file
	return content, true
}

// Put keeps content, which must have this digest, for this repository.
func (d *Disk) Put(repository string, id digest.Digest, content []byte) error {
	size := int64(len(content))
	if size > d.maxBytes {
		return nil
	}
	name := d.name(repository, id)
	if _, err := os.Lstat(name); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(name), temporaryPrefix)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	d.mu.Lock()
	d.bytes += size
	full := d.bytes > d.maxBytes
	d.mu.Unlock()
	if full {
		return d.trim(int64(float64(d.maxBytes) * trimTo))
	}
	return nil
}

// name returns the file of a content. The digest's algorithm and hex are safe as a file name, because the store validates
// digests; the repository is hashed, since its text is the user's.
func (d *Disk) name(repository string, id digest.Digest) string {
	sum := sha256.Sum256([]byte(repository))
	return filepath.Join(d.root, hex.EncodeToString(sum[:16]), id.Algorithm().String()+"-"+id.Encoded())
}

func (d *Disk) remove(name string, size int64) {
	if os.Remove(name) == nil {
		d.mu.Lock()
		d.bytes -= size
		d.mu.Unlock()
	}
}

// trim counts the bytes on disk anew, since other processes may share the folder, and removes the files used least recently
// until at most limit bytes are left.
func (d *Disk) trim(limit int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	type file struct {
		name string
		size int64
		used time.Time
	}
	var files []file
	d.bytes = 0
	err := filepath.WalkDir(d.root, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process was faster
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		if strings.HasPrefix(entry.Name(), temporaryPrefix) {
			if time.Since(info.ModTime()) > abandonedAfter {
				_ = os.Remove(name)
			}
			return nil
		}
		files = append(files, file{name, info.Size(), info.ModTime()})
		d.bytes += info.Size()
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the disk cache: %w", err)
	}
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	for _, f := range files {
		if d.bytes <= limit {
			break
		}
		if err := os.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("trimming the disk cache: %w", err)
		}
		d.bytes -= f.size
	}
	return nil
}
