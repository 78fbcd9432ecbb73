package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/golden"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
)

var all = programs.Programs{Name: func() {
	if err := New("1.2.3").ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}}

func TestMain(m *testing.M) { all.Main(m) }

// terminal is a place where the commands are run: a working directory and an environment.
type terminal struct {
	program, dir string
	env          []string
}

func newTerminal(t *testing.T, env ...string) terminal {
	t.Helper()
	dir := t.TempDir()
	return terminal{filepath.Join(all.Folder(t), Name), dir, append([]string{"HOME=" + dir, "GORACE=" + os.Getenv("GORACE"), "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true"}, env...)}
}

// run runs a command and returns what it printed, and its exit code.
func (o terminal) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), o.program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = o.dir, o.env, &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

func (o terminal) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (o terminal) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(o.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Each command's help is short, has an example, and fits a terminal.
func TestHelp(t *testing.T) {
	o := newTerminal(t)
	var help strings.Builder
	for _, args := range [][]string{nil, {"certificate"}, {"certificate", "create"}, {"certificate", "show"}, {"key"}, {"key", "import"}, {"doctor"}} {
		stdout, stderr, code := o.run(t, append(args, "--help")...)
		if code != 0 || stderr != "" {
			t.Errorf("%v --help: exit code %d, %s", args, code, stderr)
		}
		for line := range strings.Lines(stdout) {
			if utf8.RuneCountInString(line) > 131 {
				t.Errorf("%v --help: a line is too long: %s", args, line)
			}
		}
		fmt.Fprintf(&help, "$ %s\n%s\n", strings.Join(append(append([]string{Name}, args...), "--help"), " "), stdout)
	}
	golden.Compare(t, "help", help.String())
}
