package regularfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	path, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(path, []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if content, err := Read(path, 4); err != nil || string(content) != "four" {
		t.Errorf("%q, %v", content, err)
	}
	for name, tt := range map[string]struct {
		path string
		says string
	}{
		"too large": {path, "is larger than 3 bytes"},
		"a pipe":    {pipe, "is not a regular file"},
		"a folder":  {dir, "is not a regular file"},
		"nothing":   {filepath.Join(dir, "gone"), "no such file"},
	} {
		_, err := Read(tt.path, 3)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: %v", name, err)
		}
		if errors.Is(err, fs.ErrNotExist) != (name == "nothing") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
