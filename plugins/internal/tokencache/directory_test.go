package tokencache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOpen(t *testing.T) {
	path := memory(t)
	open(t, path)
	open(t, path) // which is there now
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the directory is %v, %v", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string) (other string)
		says string
	}{
		{"a relative path", func(*testing.T, string) string { return "cache" }, "not an absolute path"},
		{"a path whose parent is missing", func(_ *testing.T, path string) string { return path + "/a" }, "no such file"},
		{"a file", func(t *testing.T, path string) string { return made(t, path, os.WriteFile(path, nil, 0o600)) }, "not a directory"},
		{"a directory that others may read", func(t *testing.T, path string) string {
			return made(t, path, errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o750)))
		}, "has mode 0750"},
		{"another user's", func(t *testing.T, path string) string {
			if os.Geteuid() != 0 {
				t.Skip("only root can make one")
			}
			return made(t, path, errors.Join(os.Mkdir(path, 0o700), os.Chown(path, 12345, 0)))
		}, "belongs to another user"},
		{"a directory on a disk", func(t *testing.T, _ string) string {
			here, err := os.Getwd()
			if err != nil {
				t.Fatal(err)
			}
			dir, err := os.MkdirTemp(here, "testdata-")
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			return made(t, dir, err)
		}, "is on a disk"},
		{"a link to one that others may read", func(t *testing.T, path string) string {
			open := path + "-open"
			return made(t, path, errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o755), os.Symlink(open, path)))
		}, "has mode 0755"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Open(tt.make(t, memory(t)))
			if err == nil {
				_ = d.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Open() = %v, want %q", err, tt.says)
			}
		})
	}
}

// What is made on a disk is not left there.
func TestOpenLeavesNothing(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(here, "testdata-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cache")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "is on a disk") {
		t.Errorf("Open() = %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}

func made(t *testing.T, path string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What runs that were killed left behind makes room, too, and links lead nowhere else.
func TestLeftovers(t *testing.T) {
	d := open(t, memory(t))
	for i := range maxEntries {
		if err := os.WriteFile(filepath.Join(d.path, fmt.Sprintf("%026d%s", i, temporarySuffix)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link, outside := numbered(0), d.path+"-outside"
	if err := errors.Join(os.WriteFile(outside, []byte("x"), 0o600), os.Symlink(outside, filepath.Join(d.path, link+entrySuffix))); err != nil {
		t.Fatal(err)
	}
	if content, err := d.read(link); err == nil {
		t.Errorf("a link leads to %q", content)
	}
	if err := errors.Join(d.write(link, []byte("y")), d.write(numbered(1), []byte("z"))); err != nil {
		t.Fatal(err)
	}
	if content, err := d.read(link); string(content) != "y" || err != nil {
		t.Errorf("in the place of the link is %q, %v", content, err)
	}
	if content, err := os.ReadFile(outside); string(content) != "x" || err != nil {
		t.Errorf("the file outside has %q, %v", content, err)
	}
	if entries, err := os.ReadDir(d.path); err != nil || len(entries) > maxEntries {
		t.Errorf("%d files are left, %v", len(entries), err)
	}
}

// numbered returns the name of an entry.
func numbered(i int) string { return fmt.Sprintf("test-%032d", i) }

// The oldest entries make room, and files that are not the cache's stay, older and more as they may be.
func TestBound(t *testing.T) {
	d := open(t, memory(t))
	var foreign []string
	start := time.Now().Add(-time.Hour)
	for i := range maxEntries {
		for _, name := range []string{fmt.Sprint(i, entrySuffix), fmt.Sprint(i, temporarySuffix), numbered(i) + "x" + entrySuffix, numbered(i)} {
			path := filepath.Join(d.path, name)
			if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, start.Add(-time.Hour), start.Add(-time.Hour))); err != nil {
				t.Fatal(err)
			}
			foreign = append(foreign, path)
		}
	}
	for i := range maxEntries + 10 {
		name := numbered(i)
		if err := d.write(name, []byte("x")); err != nil {
			t.Fatal(err)
		}
		at := start.Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(filepath.Join(d.path, name+entrySuffix), at, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range foreign {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(files(t, d.path)); n != maxEntries {
		t.Errorf("%d files are kept", n)
	}
	if _, err := d.read(numbered(9)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the oldest that should go is there: %v", err)
	}
	if _, err := d.read(numbered(10)); err != nil {
		t.Errorf("the oldest that should stay: %v", err)
	}
	if info, err := os.Stat(filepath.Join(d.path, numbered(10)+entrySuffix)); err != nil || info.Mode() != 0o600 {
		t.Errorf("a file has mode %v, %v", info.Mode(), err)
	}
}

// What is in the place of an entry and may not be one is not read, and does not hold anybody up.
func TestReadRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		says string
	}{
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, "not a file"},
		{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a file"},
		{"a file that others may read", func(path string) error {
			return errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, 0o640))
		}, "has mode 0640"},
		{"another user's", func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 12345, 0)) }, "belongs to another user"},
		{"too large", func(path string) error { return os.WriteFile(path, make([]byte, maxEntry+1), 0o600) }, "more than 65536 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, memory(t))
			if err := tt.make(filepath.Join(d.path, "a"+entrySuffix)); errors.Is(err, fs.ErrPermission) {
				t.Skip("only root can make one")
			} else if err != nil {
				t.Fatal(err)
			}
			if content, err := d.read("a"); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("read() = %q, %v, want %q", content, err, tt.says)
			}
		})
	}
}
