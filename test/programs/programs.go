// Package programs makes a test binary into several programs, so that tests start real ones without building any.
package programs

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// Programs are what the test binary is when it is started by their names.
type Programs map[string]func()

// Main is what TestMain calls: it is the program, or runs the tests and fails if they leave goroutines behind.
func (p Programs) Main(m *testing.M) {
	if program, ok := p[filepath.Base(os.Args[0])]; ok {
		program()
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or each program takes a second to end
	goleak.VerifyTestMain(m)
}

// Folder returns a directory that has the programs, until the test ends.
func (p Programs) Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name := range p {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
