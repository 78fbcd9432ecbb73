package executable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plugin")
	install := func(content string, mode os.FileMode, err error) error {
		return Install(dir, "plugin", func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(content), mode), err)
		})
	}
	want := func(content string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("installed is %q, %v; want %q", got, err, content)
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
			t.Errorf("the directory has %v, %v", files, err)
		}
	}
	if err := install("#!/bin/sh\n", 0o700, nil); err != nil {
		t.Fatal(err)
	}
	want("#!/bin/sh\n")

	if held, err := os.OpenFile(path, os.O_WRONLY, 0); err != nil { // as does one that is being written in place
		t.Fatal(err)
	} else {
		defer held.Close()
	}
	if err := install("#!/bin/sh\nexit\n", 0o700, nil); err != nil {
		t.Fatal(err)
	}
	want("#!/bin/sh\nexit\n")
	if _, err := Run(t.Context(), path, nil, nil); err != nil {
		t.Errorf("what was installed does not run: %v", err)
	}

	failed := errors.New("connection lost")
	if err := install("#!/bin", 0o700, failed); !errors.Is(err, failed) {
		t.Errorf("error %v, want %v", err, failed)
	}
	if err := install("data", 0o600, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that is not executable: %v", err)
	}
	want("#!/bin/sh\nexit\n")
	if err := Install(dir, "../plugin", nil); err == nil {
		t.Error("a path is taken for a name")
	}
	if err := Install(filepath.Join(dir, "missing"), "plugin", nil); err == nil {
		t.Error("a directory that is missing is taken")
	}
}
