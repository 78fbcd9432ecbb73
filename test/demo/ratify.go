package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
)

// startTimeout bounds the wait for a process to listen and be ready.
const startTimeout = 20 * time.Second

// ratify is a running server.
type ratify struct {
	process *exec.Cmd
	address string
	client  *http.Client
	log     *logBuffer
	ended   chan error
}

// startRatify runs the binary as a pod would: only its environment tells it of the cloud.
func startRatify(ctx context.Context, binary, dir string, config []byte, cloud *emulator.Cloud) (*ratify, error) {
	path := filepath.Join(dir, "config.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return nil, err
	}
	cloud.WriteTokenFile(emulator.TokenOptions{})
	r := &ratify{
		process: exec.CommandContext(ctx, binary, "serve", "--http", "127.0.0.1:0", "--health-port", "127.0.0.1:0", "--config", path, "--cache-enabled"),
		client:  &http.Client{Timeout: startTimeout},
		log:     newLogBuffer(),
		ended:   make(chan error, 1),
	}
	r.process.Env = append(cloud.PodEnv(), "HOME="+dir, "PATH="+os.Getenv("PATH"))
	r.process.Stderr = r.log
	if err := r.process.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() { r.ended <- r.process.Wait() }()
	health, err := r.addresses(ctx)
	if err == nil {
		err = r.ready(ctx, health)
	}
	if err != nil {
		_ = r.process.Process.Kill()
		return nil, fmt.Errorf("%w; its log:\n%s", err, r.log)
	}
	return r, nil
}

// addresses waits for the server's log to say where it listens.
func (r *ratify) addresses(ctx context.Context) (health string, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if r.address, err = r.log.find(ctx, regexp.MustCompile(`msg=listening for=http address=(\S+)`)); err != nil {
		return "", err
	}
	return r.log.find(ctx, regexp.MustCompile(`msg=listening for=health-port address=(\S+)`))
}

func (r *ratify) ready(ctx context.Context, health string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health+"/readyz", nil)
		if err != nil {
			return err
		}
		if res, err := r.client.Do(request); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case err := <-r.ended:
			return fmt.Errorf("ratify ended: %v", err)
		case <-ctx.Done():
			return fmt.Errorf("ratify is not ready: %w", ctx.Err())
		}
	}
}

func (r *ratify) stop() error {
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := <-r.ended; err != nil {
		return fmt.Errorf("ratify ended: %w; its log:\n%s", err, r.log)
	}
	return nil
}

// decision is what Gatekeeper makes of an answer.
type decision struct {
	admitted bool
	why      string
}

// ask asks about one image as Gatekeeper's RatifyVerification constraint does.
func (r *ratify) ask(ctx context.Context, image string) (decision, error) {
	a, err := gatekeeper.Ask(ctx, r.client, "http://"+r.address, image)
	if err != nil {
		return decision{}, err
	}
	admitted, decided := a.Verdicts[image]
	if !decided || a.SystemError != "" {
		return decision{why: a.SystemError}, nil
	}
	var reports []verifier.VerifierResult
	if err := json.Unmarshal(a.Reports[image], &reports); err != nil {
		return decision{}, err
	}
	var said []string
	for _, report := range reports {
		if report.IsSuccess {
			extensions, _ := report.Extensions.(map[string]any)
			return decision{admitted, fmt.Sprint(extensions["SN"])}, nil
		}
		if said = append(said, report.Message); !strings.Contains(report.Message, report.ErrorReason) {
			said = append(said, report.ErrorReason)
		}
	}
	return decision{admitted, strings.Join(said, ": ")}, nil
}

// logBuffer keeps what a process logs, and tells when a line comes.
type logBuffer struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{}, 1)} }

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find waits for a line that matches and returns its first group.
func (l *logBuffer) find(ctx context.Context, pattern *regexp.Regexp) (string, error) {
	for {
		for scanner := bufio.NewScanner(strings.NewReader(l.String())); scanner.Scan(); {
			if match := pattern.FindStringSubmatch(scanner.Text()); match != nil {
				return match[1], nil
			}
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			return "", fmt.Errorf("ratify did not log %s: %w", pattern, ctx.Err())
		}
	}
}
