package executable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNotFound says that no directory has the program.
var ErrNotFound = errors.New("no such plugin")

// CheckName returns an error unless name is that of a file in a directory, and of nothing elsewhere.
func CheckName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("%q is not the name of a plugin: it must be the name of a file in a plugin directory, without a path", name)
	}
	return nil
}

// Find returns the absolute path of the program that is called name in the first of the directories that has it.
func Find(name string, directories []string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	var looked []string
	for _, directory := range directories {
		// Absolute, for a bare name would be looked up in PATH when it is run.
		path, err := filepath.Abs(filepath.Join(directory, name))
		if err != nil {
			return "", err
		}
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			looked = append(looked, path+" (does not exist)")
		case err != nil:
			looked = append(looked, err.Error())
		case !info.Mode().IsRegular():
			looked = append(looked, path+" (is not a file)")
		case info.Mode().Perm()&0o111 == 0:
			looked = append(looked, path+" (is not executable: chmod +x it)")
		default:
			return path, nil
		}
	}
	if len(looked) == 0 {
		return "", fmt.Errorf("%w: %q, for no plugin directory is configured", ErrNotFound, name)
	}
	return "", fmt.Errorf("%w: %q; looked for %s", ErrNotFound, name, strings.Join(looked, ", "))
}
