package golden

import (
	"os"
	"path/filepath"
	"testing"
)

// Compare compares what was printed with testdata/name.golden, which UPDATE_GOLDEN=1 writes.
func Compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: the output is not that of %s (UPDATE_GOLDEN=1 replaces it):\n%s\nwant\n%s", name, path, got, want)
	}
}
