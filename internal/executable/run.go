package executable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
)

const (
	// timeout ends a run whose caller has more patience. No admission webhook waits longer.
	timeout = 30 * time.Second
	// maxProcesses bounds the programs that run at a time. Those of Ratify take 30 MB and a tenth of a second of a core before they do
	// anything, and then what the artifacts take: more at once would cost memory and hardly win time.
	maxProcesses = 8
	// maxStdout bounds the reply. Stores print whole blobs, and of a blob more than 16 MiB is not accepted elsewhere either.
	maxStdout = 16 << 20
	// maxStderr bounds what is kept of the log of a run, from its end.
	maxStderr = 64 << 10
	// closeDelay is how long the output may stay open after the program's end: whatever it started is to end with it.
	closeDelay = 250 * time.Millisecond
)

var (
	// ErrTimeout says that the program ran for longer than any may.
	ErrTimeout = fmt.Errorf("did not end within %s", timeout)
	// ErrTooMuchOutput says that the program printed more than is accepted.
	ErrTooMuchOutput = fmt.Errorf("printed more than %d bytes", maxStdout)
)

// slots are for all programs of this process, whoever runs them.
var slots = semaphore.NewWeighted(maxProcesses)

// Output is what a program printed.
type Output struct {
	Stdout []byte // all of it
	Stderr []byte // of more than 64 KiB an ellipsis and the end
}

// Run runs the program at path with stdin as its standard input, and with env, of the form KEY=value, added to the environment of this
// process. It waits while too many programs run. When ctx ends, or after 30 seconds, the program is killed with all that it started.
// Errors of programs that were started are of type *Error.
func Run(ctx context.Context, path string, stdin []byte, env []string) (Output, error) {
	if err := slots.Acquire(ctx, 1); err != nil {
		return Output{}, fmt.Errorf("plugin %s: waited while %d others were running: %w", path, maxProcesses, err)
	}
	defer slots.Release(1)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	return retry.Do(ctx, func(ctx context.Context) (Output, error) { return run(ctx, path, stdin, env) })
}

// busy is the failure to start a file that is open for writing: it is just being replaced, or was, by a process that forked since. The
// latter happens to Go programs that write an executable and start others, see golang.org/issue/22315.
type busy struct{ error }

func (b busy) Unwrap() error { return b.error }

// Passing implements retry.Passing.
func (busy) Passing() (time.Duration, bool) { return 0, true }

func run(ctx context.Context, path string, stdin []byte, env []string) (Output, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stdout := &limited{limit: maxStdout, exceeded: func() { stop(ErrTooMuchOutput) }}
	stderr := &tail{limit: maxStderr}
	cmd := exec.CommandContext(ctx, path)
	cmd.Env = append(os.Environ(), env...) // of duplicates, the last counts
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), stdout, stderr
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = closeDelay
	runtime.LockOSThread() // the program ends with the thread that started it, see attributes
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); errors.Is(err, syscall.ETXTBSY) {
		return Output{}, busy{fmt.Errorf("plugin %s: %w", path, err)}
	} else if err != nil {
		return Output{}, fmt.Errorf("plugin %s: %w", path, err)
	}
	err := cmd.Wait()
	endGroup(cmd.Process.Pid)

	output := Output{Stdout: stdout.kept, Stderr: stderr.Bytes()}
	if cause := context.Cause(ctx); cause != nil && (err != nil || errors.Is(cause, ErrTooMuchOutput)) {
		err = cause
	} else if errors.Is(err, exec.ErrWaitDelay) {
		err = errors.New("ended, but left a process behind that holds its output open")
	}
	if err != nil {
		return Output{}, &Error{Path: path, Err: err, Said: said(output)}
	}
	return output, nil
}

// endGroup ends what a program left behind when it ended. The group's number cannot be another's yet: numbers are handed out in turn. Orphans
// are children of the first process of a container, which this process may be, and stay zombies until that waits for them.
func endGroup(leader int) {
	err := killGroup(leader)
	for err == nil || errors.Is(err, syscall.EINTR) {
		_, err = syscall.Wait4(-leader, nil, 0, nil) // ECHILD: no more, or not ours
	}
}

func killGroup(leader int) error {
	err := syscall.Kill(-leader, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Error is a run that ended badly.
type Error struct {
	Path string
	// Err is an *exec.ExitError with the exit code or signal, ErrTimeout, ErrTooMuchOutput, or why the caller's context ended.
	Err error
	// Said quotes the end of what the program printed, as Clean does: "said: …".
	Said string
}

func (e *Error) Error() string {
	return fmt.Sprintf("plugin %s: %v; it %s", e.Path, e.Err, e.Said)
}

func (e *Error) Unwrap() error { return e.Err }
