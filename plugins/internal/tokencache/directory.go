package tokencache

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"
)

const (
	// maxEntry bounds a file: passwords and sessions have one or two kilobytes.
	maxEntry = 64 << 10
	// maxEntries bounds the files. Clusters use tens of instances; who can create pods can make up names of more.
	maxEntries = 256
	// nameDigits is how many hexadecimal digits the name of an entry has after its kind: 128 bits.
	nameDigits = 32
	// entrySuffix and temporarySuffix end the names of whole files, and of files that are being written.
	entrySuffix, temporarySuffix = ".json", ".tmp"
	// lockWait is how long after it opened the directory a run waits for others that fetch the same, far longer than a call to STS and one for
	// the password take. It then fetches for itself, for which the rest of the 2.9 s must do that Ratify v1.4 gives a verification.
	lockWait = 2 * time.Second
	// lockPause is the time between two tries of a lock. The kernel offers no waiting that a context could end.
	lockPause = 10 * time.Millisecond
)

// Directory is a private directory in memory. Make one with Open.
type Directory struct {
	path     string
	root     *os.Root
	patience time.Time // until when locks of other runs are waited for
}

// Open opens the directory at an absolute path, and makes it if only its last element is missing. It must belong to this user, with mode 0700,
// and be on a file system in memory.
func Open(path string) (*Directory, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is not an absolute path", path)
	}
	made := os.Mkdir(path, 0o700)
	if made != nil && !errors.Is(made, fs.ErrExist) {
		return nil, fmt.Errorf("%w; name a new directory in one that is in memory and may be written to, such as /dev/shm/ratify", made)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	if err := check(root); err != nil {
		if made == nil {
			_ = os.Remove(path) // on a disk: it is no use to anybody
		}
		return nil, errors.Join(fmt.Errorf("%s %w", path, err), root.Close())
	}
	return &Directory{path, root, time.Now().Add(lockWait)}, nil
}

// Close closes the directory.
func (d *Directory) Close() error { return d.root.Close() }

// check looks at the directory that was opened, whatever its path leads to by now.
func check(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := dir.Stat()
	if err != nil {
		return err
	}
	if err := private(info); err != nil {
		return fmt.Errorf("%w: name a directory that does not exist yet, or make it one of mode 0700 of this user", err)
	}
	return checkInMemory(dir)
}

// private returns why others than this user may use a file or a directory, nil if nobody may.
func private(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("belongs to another user than %d", os.Geteuid())
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("has mode %#o, so that others may use it", info.Mode().Perm())
	}
	return nil
}

// read returns the content of an entry. An error wraps fs.ErrNotExist if there is none, or says why a file is not one.
func (d *Directory) read(name string) ([]byte, error) {
	file, err := d.root.OpenFile(name+entrySuffix, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would block
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	if err := private(info); err != nil {
		return nil, fmt.Errorf("it %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(file, maxEntry+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxEntry {
		return nil, fmt.Errorf("it has more than %d bytes", maxEntry)
	}
	return content, nil
}

// write replaces an entry. The oldest ones make room for it.
func (d *Directory) write(name string, content []byte) error {
	if err := d.makeRoom(); err != nil {
		return err
	}
	temporary := rand.Text() + temporarySuffix // numbers of processes are not unique where containers share a directory
	file, err := d.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = cmp.Or(err, file.Close()); err == nil {
		err = d.root.Rename(temporary, name+entrySuffix)
	}
	if err != nil {
		return errors.Join(err, d.root.Remove(temporary))
	}
	return nil
}

// remove removes an entry. That it is gone already is no error.
func (d *Directory) remove(name string) error {
	if err := d.root.Remove(name + entrySuffix); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ours matches the names of the files that the cache writes, entries and temporary ones.
var ours = regexp.MustCompile(fmt.Sprintf(`^([a-z]+-[0-9a-f]{%d}\%s|[0-9A-Z]{26,}\%s)$`, nameDigits, entrySuffix, temporarySuffix))

// makeRoom removes the oldest of the cache's files until there is room for one more.
func (d *Directory) makeRoom() error {
	all, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, entry := range all {
		info, err := entry.Info()
		if err == nil && ours.MatchString(info.Name()) {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, oldest := range files[:max(0, len(files)-maxEntries+1)] {
		if err := d.root.Remove(oldest.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
