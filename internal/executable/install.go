package executable

import (
	"fmt"
	"os"
	"path/filepath"
)

// Install puts a program that is called name into the directory. It is written by write to the path that this is given, and takes the place
// of an older one at once: a run finds either of them, and never a part of one.
func Install(directory, name string, write func(path string) error) error {
	if err := CheckName(name); err != nil {
		return err
	}
	// Inside of the directory, for only within a file system is renaming atomic.
	dir, err := os.MkdirTemp(directory, ".install-*")
	if err != nil {
		return fmt.Errorf("plugin %s: the plugin directory must be writable: %w", name, err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, name)
	if err := write(path); err != nil {
		return err
	}
	if _, err := Find(name, []string{dir}); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(directory, name))
}
