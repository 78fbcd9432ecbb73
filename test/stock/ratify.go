package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/hosts"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/report"
)

// startTimeout bounds the wait for a server to listen.
const startTimeout = 20 * time.Second

// environment is what the checks have in common.
type environment struct {
	programs
	dir     string
	world   *world
	hosts   *hosts.Hosts
	report  *report.Report
	configs int // written so far
}

// command returns a command of a way's binary.
func (e *environment) command(ctx context.Context, w way, args ...string) *exec.Cmd {
	binary := e.upstream
	if w.image {
		binary = e.image
	}
	cmd := e.hosts.Command(ctx, binary, args...)
	cmd.Env = append(cmd.Env, "HOME="+e.dir, "RATIFY_EXPERIMENTAL_DYNAMIC_PLUGINS=1")
	return cmd
}

// verdict is what a verify command says.
type verdict struct {
	admitted bool
	reports  string // and the log
}

// verify runs the verify command.
func (e *environment) verify(ctx context.Context, w way, config, reference string) (verdict, error) {
	var stdout, stderr bytes.Buffer
	cmd := e.command(ctx, w, "verify", "-c", config, "-s", reference)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return verdict{}, err
	}
	var result struct {
		IsSuccess bool            `json:"isSuccess"` // left out if false
		Reports   json.RawMessage `json:"verifierReports"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil || len(result.Reports) == 0 {
		return verdict{}, fmt.Errorf("it printed no verdict: %s%s", &stdout, &stderr)
	}
	return verdict{result.IsSuccess, string(result.Reports) + stderr.String()}, nil
}

// expect runs the verify command and checks its verdict.
func (e *environment) expect(ctx context.Context, w way, config, reference string, admitted bool) error {
	got, err := e.verify(ctx, w, config, reference)
	if err == nil && got.admitted != admitted {
		err = fmt.Errorf("admitted=%t, want %t: %s", got.admitted, admitted, got.reports)
	}
	return err
}

// server is a Ratify that serves.
type server struct {
	process *exec.Cmd
	url     string
	client  *http.Client
	log     string // path of its log
}

// serve starts a server, whose stop ends it.
func (e *environment) serve(ctx context.Context, w way) (*server, error) {
	config, err := e.config(w, e.plugins)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	health, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + address, client: &http.Client{Timeout: time.Minute}, log: filepath.Join(e.dir, "log"),
		process: e.command(ctx, w, "serve", "--http", address, "--health-port", health, "--config", config)}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := s.listens(ctx, address); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// freeAddress returns an address that nobody listens at. The server cannot be told to choose one and say which.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

func (s *server) listens(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if connection, err := net.Dial("tcp", address); err == nil {
			return connection.Close()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			log, _ := os.ReadFile(s.log)
			return fmt.Errorf("the server does not listen: %w\n%s", ctx.Err(), log)
		}
	}
}

// ready waits until an image is admitted: until the configuration is loaded, and what is needed once is there.
func (s *server) ready(ctx context.Context, reference string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if admitted, text, err := s.ask(ctx, reference); admitted || err != nil {
			return err
		} else if ctx.Err() != nil {
			return fmt.Errorf("it is never admitted: %s", text)
		}
	}
}

// stop ends the server.
func (s *server) stop() error {
	s.client.CloseIdleConnections()
	err := s.process.Process.Kill()
	_ = s.process.Wait() // says that it was killed
	return err
}

// ask asks about an image as Gatekeeper does.
func (s *server) ask(ctx context.Context, reference string) (admitted bool, text string, err error) {
	answer, err := gatekeeper.Ask(ctx, s.client, s.url, reference)
	return answer.Verdicts[reference], answer.Text, err
}
