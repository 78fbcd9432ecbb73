package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/regularfile"
)

// MaxBytes limits what is read. Certificate bundles are the largest files here: that of all public roots has a quarter of it.
const MaxBytes = 1 << 20

// Read returns the content of a regular file of at most MaxBytes. Errors name the path.
func Read(path string) ([]byte, error) { return regularfile.Read(path, MaxBytes) }

// Write puts content in the place of the file at path at once, or leaves that as it is. Errors name the path.
func Write(path string, content []byte, mode fs.FileMode) error {
	return write(path, content, mode, os.Rename)
}

// WriteNew is Write for a file that must not be there yet, nor be made by others meanwhile: then the error wraps fs.ErrExist.
func WriteNew(path string, content []byte, mode fs.FileMode) error {
	return write(path, content, mode, func(from, to string) error {
		if err := os.Link(from, to); err == nil || errors.Is(err, fs.ErrExist) {
			return err
		}
		// Some file systems have no links.
		if _, err := os.Lstat(to); err == nil {
			return &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist}
		}
		return os.Rename(from, to)
	})
}

func write(path string, content []byte, mode fs.FileMode, place func(from, to string) error) error {
	// Beside the file, for only within a file system is renaming atomic.
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(file.Name()) // fails after a renaming, as it should
	_, err = file.Write(content)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = place(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
