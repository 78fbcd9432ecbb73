package revocation

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/crl"
	filecache "github.com/notaryproject/notation-go/verifier/crl"
)

const (
	// maxFiles and maxFilesBytes bound the lists on disk; the ones written last stay.
	maxFiles      = 256
	maxFilesBytes = 256 << 20

	// maxFileBytes limits one file: a base and a delta list in base64, and what is around them.
	maxFileBytes = 2*maxListBytes*4/3 + 1<<10

	// temporaryAge is when a file that was being written counts as left behind.
	temporaryAge = time.Hour
)

// disk keeps revocation lists in files, as notation-go does. Whatever is wrong with it costs a fetch, and a warning once. The nil disk is empty.
type disk struct {
	root    string
	files   *filecache.FileCache
	log     *slog.Logger
	problem sync.Once
	pruning sync.Mutex
}

// newDisk returns nil if the directory cannot be used.
func newDisk(root string, log *slog.Logger) *disk {
	d := &disk{root: root, log: log}
	files, err := filecache.NewFileCache(root)
	if err != nil {
		d.warn(err)
		return nil
	}
	d.files = files
	return d
}

// get returns the list that was kept last for url, nil if there is none, it has ended or cannot be read. Its signature is not checked. A list
// without the delta list that it names is none: nobody has signed that there is no such list in the file.
func (d *disk) get(ctx context.Context, url string) *crl.Bundle {
	if d == nil {
		return nil
	}
	name := sha256.Sum256([]byte(url)) // as notation-go names them
	info, err := os.Stat(filepath.Join(d.root, hex.EncodeToString(name[:])))
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil
	}
	bundle, err := d.files.Get(ctx, url)
	if err != nil {
		if !errors.Is(err, crl.ErrCacheMiss) {
			d.log.Debug("revocation list on disk cannot be used", "url", url, "error", err)
		}
		return nil
	}
	if bundle.DeltaCRL == nil && namesDelta(bundle.BaseCRL) {
		return nil
	}
	return bundle
}

// set keeps a list, and drops the files written longest ago if there are too many.
func (d *disk) set(ctx context.Context, url string, bundle *crl.Bundle) {
	if d == nil {
		return
	}
	if err := cmp.Or(d.files.Set(ctx, url, bundle), d.prune()); err != nil {
		d.warn(err)
	}
}

func (d *disk) warn(err error) {
	d.problem.Do(func() {
		d.log.Warn("revocation lists cannot be kept on disk, only in memory", "directory", d.root, "error", err)
	})
}

func (d *disk) prune() error {
	d.pruning.Lock()
	defer d.pruning.Unlock()
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // it has gone meanwhile
		}
		switch {
		case !info.Mode().IsRegular():
		case strings.HasPrefix(info.Name(), "notation-") && time.Since(info.ModTime()) > temporaryAge:
			_ = os.Remove(filepath.Join(d.root, info.Name()))
		case isListName(info.Name()):
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	var size int64
	for i, info := range files {
		size += info.Size()
		if i >= maxFiles || size > maxFilesBytes {
			if err := os.Remove(filepath.Join(d.root, info.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// isListName reports whether a file is one of notation-go's: other files in the directory are nobody's business here.
func isListName(name string) bool {
	raw, err := hex.DecodeString(name)
	return err == nil && len(raw) == sha256.Size
}
