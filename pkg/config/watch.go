package config

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long files have to be left alone before they are read: editors and the kubelet change them in several steps.
	settle = 50 * time.Millisecond
	// maxSettle is how long is waited for that at most: something else may write to the directory all the time.
	maxSettle = time.Second
	// recheck is how often files are looked at without being told of a change: some file systems do not tell.
	recheck = 30 * time.Second
	// maxWatched bounds the files below the directories of certificates.
	maxWatched = 1000
)

// Watch loads the configuration file, and again each time that it or a file that it names has changed, until ctx ends.
// load is given the configuration, or why there is none; an error that it returns ends Watch.
func Watch(ctx context.Context, path string, log *slog.Logger, load func(*Config, error) error) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	defer watcher.Close()

	var last [sha256.Size]byte
	var files []string
	var changed time.Time // when the first change was told that is not looked at yet; zero: none
	timer := time.NewTimer(0)
	defer timer.Stop()
	soon := func() {
		if changed.IsZero() {
			changed = time.Now()
		}
		if left := maxSettle - time.Since(changed); left > 0 {
			timer.Reset(min(settle, left))
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-watcher.Events:
			soon()
		case err := <-watcher.Errors:
			log.Warn("some changes of the configuration are seen late", "path", path, "error", err)
			soon()
		case <-timer.C:
			changed = time.Time{}
			timer.Reset(recheck)
			// Watched before they are read, so that no change in between is missed.
			follow(watcher, append(files, path))
			content, err := readFile(path)
			current := fingerprint(content, err, files)
			if current == last {
				continue
			}
			c, err := parseRead(path, content, err, log)
			if c != nil {
				files = c.files()
				follow(watcher, files)
				current = fingerprint(content, nil, files)
			}
			last = current
			if err := load(c, err); err != nil {
				return err
			}
		}
	}
}

func parseRead(path string, content []byte, err error, log *slog.Logger) (*Config, error) {
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, content, log)
}

// follow watches the directories of paths. What cannot be watched is looked at every recheck.
func follow(watcher *fsnotify.Watcher, paths []string) {
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			// The directory, not the file: the kubelet and most editors put a new file in place of the old one.
			path = filepath.Dir(path)
		}
		_ = watcher.Add(path)
	}
}

// fingerprint changes whenever the configuration does: its text, the error of reading it, or the size or time of one of its files.
func fingerprint(content []byte, err error, files []string) [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %v\n", len(content), content, err)
	for _, file := range files {
		seen := 0
		_ = filepath.WalkDir(file, func(path string, _ fs.DirEntry, err error) error {
			if seen++; seen > maxWatched {
				return fs.SkipAll
			}
			if info, statErr := os.Stat(path); err == nil && statErr == nil { // Stat follows the kubelet's links
				fmt.Fprintf(h, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return [sha256.Size]byte(h.Sum(nil))
}
