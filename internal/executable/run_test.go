package executable

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	t.Setenv("TEST_A", "outside")
	t.Setenv("TEST_B", "outside")
	o, err := Run(t.Context(), filepath.Join(all.Folder(t), "echo"), []byte("input"), []string{"TEST_B=ours"})
	if err != nil || string(o.Stdout) != "input" || string(o.Stderr) != "outside ours" {
		t.Errorf("Run() = %q, %q, %v", o.Stdout, o.Stderr, err)
	}
}

func TestRunFails(t *testing.T) {
	dir := all.Folder(t)
	for program, words := range map[string][]string{
		"panics":          {"exit status 2", "it said: panic: lost my way"},
		"fails":           {"exit status 3", `it said: { "code": 8, "msg": "command failed" }`},
		"kills itself":    {"signal: killed", "it printed nothing"},
		"floods":          {ErrTooMuchOutput.Error(), "xxx"},
		"hangs":           {ErrTimeout.Error(), "it printed nothing"},
		"ignores signals": {ErrTimeout.Error(), "it said: started"},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			patience := time.Minute
			if strings.Contains(words[0], ErrTimeout.Error()) {
				patience = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeoutCause(context.Background(), patience, ErrTimeout)
			defer cancel()
			o, err := run(ctx, filepath.Join(dir, program), nil, nil)
			failure, ok := errors.AsType[*Error](err)
			if !ok || o.Stdout != nil || failure.Path != filepath.Join(dir, program) || len(err.Error()) > maxText+500 {
				t.Fatalf("run() = %q, %v", o.Stdout, err)
			}
			for _, word := range words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not say %q", err, word)
				}
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	_, err := Run(t.Context(), filepath.Join(all.Folder(t), "fails"), nil, nil)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 {
		t.Errorf("error %v; want exit code 3", err)
	}
}

// TestNothingIsLeft starts programs that start others, and waits for the end of these. It takes in orphans, as the first process of a
// container does, and so sees that they leave no zombies either.
func TestNothingIsLeft(t *testing.T) {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER of prctl(2)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); errno != 0 {
		t.Fatal(errno)
	}
	dir := all.Folder(t)
	for program, want := range map[string]string{
		"shares output":     "left a process behind",
		"leaves a process":  "",
		"waits for another": context.Canceled.Error(),
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			started, ended := watch(t, dir, program)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			orphan := make(chan int, 1)
			go func() {
				orphan <- <-started
				if program == "waits for another" {
					cancel()
				}
			}()
			_, err := Run(ctx, filepath.Join(dir, program), nil, []string{"TEST_FIFO=" + fifo(dir, program)})
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("error %v, want %q", err, want)
			}
			<-ended // or the test runs out of time
			if err := syscall.Kill(<-orphan, 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("the process is still there, or a zombie: %v", err)
			}
		})
	}
}

// TestMovedOut shows that a process in a session of its own, which is not killed, does not hold up the run.
func TestMovedOut(t *testing.T) {
	dir := all.Folder(t)
	started, ended := watch(t, dir, "moves out")
	_, err := Run(t.Context(), filepath.Join(dir, "moves out"), nil, []string{"TEST_FIFO=" + fifo(dir, "moves out")})
	if err == nil || !strings.Contains(err.Error(), "left a process behind") {
		t.Errorf("error %v", err)
	}
	if err := syscall.Kill(<-started, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	<-ended
}

// TestEndsWithItsParent shows that a program does not outlive this process, however that ends.
func TestEndsWithItsParent(t *testing.T) {
	dir := all.Folder(t)
	started, ended := watch(t, dir, "runs another")
	parent := exec.Command(filepath.Join(dir, "runs another"))
	parent.Env = append(os.Environ(), "TEST_FIFO="+fifo(dir, "runs another"))
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := <-started
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = parent.Wait()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the program lives on")
		_ = syscall.Kill(child, syscall.SIGKILL)
		<-ended
	}
}

func fifo(dir, program string) string { return filepath.Join(dir, program+".fifo") }

// watch tells of the process that the program starts: its number once it runs, and when it has ended.
func watch(t *testing.T, dir, program string) (started <-chan int, ended <-chan struct{}) {
	t.Helper()
	if err := syscall.Mkfifo(fifo(dir, program), 0o600); err != nil {
		t.Fatal(err)
	}
	pid, end := make(chan int, 1), make(chan struct{})
	go func() {
		defer close(end)
		f, err := os.Open(fifo(dir, program))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		digits := make([]byte, 20)
		n, _ := f.Read(digits)
		number, err := strconv.Atoi(string(digits[:n]))
		if err != nil {
			t.Error(err)
		}
		pid <- number
		_, _ = io.Copy(io.Discard, f) // until nobody has it open any more
	}()
	return pid, end
}

func TestLogIsBounded(t *testing.T) {
	o, err := Run(t.Context(), filepath.Join(all.Folder(t), "logs a lot"), nil, nil)
	if err != nil || len(o.Stderr) != len("…")+maxStderr || !strings.HasSuffix(string(o.Stderr), "line 19999\n") || string(o.Stdout) != "done" {
		t.Errorf("%d bytes of log, ending in %q; %q, %v", len(o.Stderr), o.Stderr[max(0, len(o.Stderr)-20):], o.Stdout, err)
	}
}

func TestRunWaitsItsTurn(t *testing.T) {
	if err := slots.Acquire(t.Context(), maxProcesses); err != nil {
		t.Fatal(err)
	}
	defer slots.Release(maxProcesses)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := Run(ctx, filepath.Join(all.Folder(t), "echo"), nil, nil)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "waited while 8 others were running") {
		t.Errorf("error %v", err)
	}
}

func TestNotStarted(t *testing.T) {
	noProgram := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(noProgram, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	replaced := filepath.Join(t.TempDir(), "replaced")
	f, err := os.OpenFile(replaced, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for path, want := range map[string]error{
		"/does/not/exist": syscall.ENOENT,
		noProgram:         syscall.ENOEXEC,
		replaced:          syscall.ETXTBSY,
	} {
		if _, err := Run(t.Context(), path, nil, nil); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %v", path, err, want)
		}
	}
}
