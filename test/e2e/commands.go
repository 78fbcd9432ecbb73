package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// commandTime bounds a command that has no bound of its own.
const commandTime = 3 * time.Minute

// command runs one of the user's tools, and returns what it printed to standard output.
func (e *environment) command(ctx context.Context, stdin, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTime, fmt.Errorf("it did not end within %s", commandTime))
	defer cancel()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, filepath.Join(e.o.cache, "bin", program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+e.cluster.Kubeconfig(), "HOME="+e.home)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil { // it was killed
			err = context.Cause(ctx)
		}
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// jsonText returns a value as JSON.
func jsonText(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

func (e *environment) kubectl(ctx context.Context, args ...string) (string, error) {
	return e.command(ctx, "", "kubectl", args...)
}

// apply applies manifests.
func (e *environment) apply(ctx context.Context, manifests string) error {
	_, err := e.command(ctx, manifests, "kubectl", "apply", "--filename=-")
	return err
}

func (e *environment) helm(ctx context.Context, args ...string) (string, error) {
	return e.command(ctx, "", "helm", args...)
}
