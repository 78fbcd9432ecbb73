package executable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{
		filepath.Join(first, "plain"):  0o600,
		filepath.Join(second, "plain"): 0o700,
		filepath.Join(first, "both"):   0o700,
		filepath.Join(second, "both"):  0o700,
		filepath.Join(first, "data"):   0o600,
	} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(first, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	dirs := []string{first, second}
	for name, want := range map[string]string{
		"both":  filepath.Join(first, "both"),
		"plain": filepath.Join(second, "plain"),
	} {
		if got, err := Find(name, dirs); got != want || err != nil {
			t.Errorf("Find(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	for name, words := range map[string][]string{
		"missing":      {filepath.Join(first, "missing") + " (does not exist)", filepath.Join(second, "missing")},
		"data":         {filepath.Join(first, "data") + " (is not executable"},
		"folder":       {"(is not a file)"},
		"":             {`"" is not the name of a plugin`},
		"..":           {"is not the name"},
		"../both":      {"without a path"},
		`..\both`:      {"without a path"},
		"/bin/sh":      {"without a path"},
		"both\x00.txt": {"is not the name"},
	} {
		got, err := Find(name, dirs)
		if got != "" || err == nil {
			t.Fatalf("Find(%q) = %q, %v", name, got, err)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("Find(%q): error %q does not say %q", name, err, word)
			}
		}
	}
	if _, err := Find("sh", nil); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no plugin directory is configured") {
		t.Errorf("without directories: %v", err)
	}
}

func TestFindIsAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("ls", nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Find("ls", []string{"."}); err != nil || !filepath.IsAbs(got) {
		t.Errorf("Find() = %q, %v; want an absolute path, for a bare name is looked up in PATH", got, err)
	}
}
