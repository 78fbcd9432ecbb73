package commands

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/wholefile"
)

// readFile reads a file of at most limit bytes. It makes no copies of them: they may be a private key.
func readFile(path string, limit int) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := make([]byte, limit+1)
	n, err := io.ReadFull(file, data)
	switch {
	case err == nil:
		return nil, fmt.Errorf("%s is longer than %d bytes; is it the right file?", path, limit)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return data[:n], nil
	}
	return nil, err
}

// checkNew returns an error if there is a file at path that may not be replaced.
func checkNew(path string, replace bool) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !replace:
		return existsError(path)
	}
	return nil
}

// write writes a file, and replaces none that came after checkNew unless it may.
func write(path string, content []byte, mode fs.FileMode, replace bool) error {
	if replace {
		return wholefile.Write(path, content, mode)
	}
	err := wholefile.WriteNew(path, content, mode)
	if errors.Is(err, fs.ErrExist) {
		return existsError(path)
	}
	return err
}

func existsError(path string) error {
	return fmt.Errorf("%s exists; choose another --output, or --force to replace it", path)
}
