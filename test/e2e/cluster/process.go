package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTime is how long a program has to end by itself. etcd and containerd take a second or two.
const stopTime = 15 * time.Second

// start starts a program in the background. Its log is LogFile(name), its id is noted for stop, and for a later run.
func (c *Cluster) start(name string, env []string, program string, args ...string) error {
	if err := os.RemoveAll(c.LogFile(name)); err != nil {
		return err
	}
	c.programs[name] = func() *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), env...)
		return cmd
	}
	return c.launch(name)
}

// Restart ends a program and starts it again. Restarting the API server returns when it is ready.
func (c *Cluster) Restart(ctx context.Context, name string) error {
	if err := c.stop(name); err != nil {
		return err
	}
	if err := c.launch(name); err != nil {
		return err
	}
	if name == "kube-apiserver" {
		return c.waitForAPIServer(ctx)
	}
	return nil
}

func (c *Cluster) launch(name string) error {
	log, err := os.OpenFile(c.LogFile(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := c.programs[name]()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the one who ends them in order
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // so that nothing stays a zombie; the log says why it ended
	since, alive := processStart(cmd.Process.Pid)
	if !alive {
		return fmt.Errorf("%s ended at once: see %s", name, c.LogFile(name))
	}
	return os.WriteFile(c.pidFile(name), fmt.Appendf(nil, "%d %s\n", cmd.Process.Pid, since), 0o600)
}

func (c *Cluster) pidFile(name string) string { return c.path("run/" + name + ".pid") }

// running reports whether a program that was started is still there.
func (c *Cluster) running(name string) bool {
	pid, since, err := c.noted(name)
	if err != nil {
		return false
	}
	now, alive := processStart(pid)
	return alive && now == since
}

// noted returns the id and the start of a program that was started.
func (c *Cluster) noted(name string) (pid int, since string, err error) {
	note, err := os.ReadFile(c.pidFile(name))
	if err != nil {
		return 0, "", err
	}
	_, err = fmt.Sscan(string(note), &pid, &since)
	return pid, since, err
}

// stop ends a program if it still is the one that was started, and returns when it is gone.
func (c *Cluster) stop(name string) error {
	if !c.running(name) {
		return os.RemoveAll(c.pidFile(name))
	}
	pid, _, err := c.noted(name)
	if err != nil {
		return err
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("ending %s: %w", name, err)
		}
		if wait(context.Background(), stopTime, func() bool { return !c.running(name) }) == nil {
			return os.Remove(c.pidFile(name))
		}
	}
	return fmt.Errorf("%s (process %d) does not end", name, pid)
}

// processStart returns when a process started, in ticks since boot: with its id, that names it for good (proc(5), field 22 of stat).
func processStart(pid int) (since string, alive bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", false
	}
	// The second field is the program's name in parentheses, and may contain anything.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return "", false
	}
	return fields[19], true
}

// runTime bounds a program that is run to its end. The import of the largest image takes 10 s.
const runTime = 3 * time.Minute

// run runs a program to its end, and returns its output. The error has what the program said.
func run(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("it did not end within %s", runTime))
	defer cancel()
	output, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

// wait asks until it is so, or for at most a time.
func wait(ctx context.Context, atMost time.Duration, isSo func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for !isSo() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
	return nil
}
