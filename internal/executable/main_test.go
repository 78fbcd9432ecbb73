package executable

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
)

// all are what this binary is when it is started by their names.
var all = programs.Programs{
	"echo": func() {
		_, _ = io.Copy(os.Stdout, os.Stdin)
		fmt.Fprintf(os.Stderr, "%s %s", os.Getenv("TEST_A"), os.Getenv("TEST_B"))
	},
	"hangs": func() { time.Sleep(time.Hour) },
	"runs another": func() {
		_, _ = Run(context.Background(), filepath.Join(filepath.Dir(os.Args[0]), "tells and hangs"), nil, nil)
	},
	"tells and hangs": func() {
		fifo, err := os.OpenFile(os.Getenv("TEST_FIFO"), os.O_WRONLY, 0)
		if err != nil {
			panic(err)
		}
		fmt.Fprint(fifo, os.Getpid())
		time.Sleep(time.Hour)
		fifo.Close()
	},
	"ignores signals": func() {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
		fmt.Print("started")
		time.Sleep(time.Hour)
	},
	"floods": func() {
		signal.Ignore(syscall.SIGPIPE)
		for line := []byte(strings.Repeat("x", 1<<16)); ; {
			_, _ = os.Stdout.Write(line)
		}
	},
	"logs a lot": func() {
		for i := range 20000 {
			fmt.Fprintf(os.Stderr, "line %d\n", i)
		}
		fmt.Print("done")
	},
	"panics":           func() { panic("lost my way") },
	"fails":            func() { fmt.Print("{\n    \"code\": 8,\n    \"msg\": \"command failed\"\n}"); os.Exit(3) },
	"kills itself":     func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); time.Sleep(time.Hour) },
	"shares output":    func() { start(os.Stdout, false) },
	"leaves a process": func() { start(nil, false); fmt.Print("done") },
	"moves out":        func() { start(os.Stdout, true); fmt.Print("done") },
	"waits for another": func() {
		_ = start(os.Stdout, false).Wait()
	},
}

// start starts a process that hangs. As long as it lives it holds TEST_FIFO open for writing.
func start(stdout *os.File, ownSession bool) *exec.Cmd {
	fifo, err := os.OpenFile(os.Getenv("TEST_FIFO"), os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(os.Args[0]), "hangs"))
	cmd.ExtraFiles = []*os.File{fifo}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: ownSession}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	fmt.Fprintf(fifo, "%d", cmd.Process.Pid)
	return cmd
}

func TestMain(m *testing.M) { all.Main(m) }
