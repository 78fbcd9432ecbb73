package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/builtin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// inProcess is our code in this process: what can be profiled, and measured without a network.
type inProcess struct {
	handler http.Handler
}

func newInProcess(ctx context.Context, b *bencher) (*inProcess, error) {
	for _, variable := range b.cloud.PodEnv() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "ALIBABA_CLOUD_") {
			if err := os.Setenv(name, value); err != nil {
				return nil, err
			}
		}
	}
	logrus.SetOutput(io.Discard) // what upstream's parts tell
	log := slog.New(slog.DiscardHandler)
	path := filepath.Join(b.dir, "in-process.json")
	if err := os.WriteFile(path, b.config(serveOptions{}), 0o600); err != nil {
		return nil, err
	}
	c, err := config.Load(path, log)
	if err != nil {
		return nil, err
	}
	revocation, err := builtin.NewRevocation(false, log)
	if err != nil {
		return nil, err
	}
	m := metrics.New()
	builder := config.Builder{Log: log, Factories: builtin.Factories(builtin.Options{Transport: b.cloud.Transport(), Metrics: m, Log: log, Revocation: revocation})}
	snapshot, err := builder.Build(ctx, c)
	if err != nil {
		return nil, err
	}
	engine := verification.NewEngine(verification.Options{VerdictTTL: time.Hour})
	engine.Load(snapshot)
	return &inProcess{gatekeeper.NewHandler(func() gatekeeper.Session { return engine.Begin() },
		gatekeeper.HandlerOptions{Metrics: m, Log: slog.New(slog.NewTextHandler(discard{}, nil))})}, nil // the log is written, as it is in a pod
}

// discard is a file that nobody keeps. io.Discard is another matter to loggers: they leave out the work.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// ask returns a function that asks the handler about an image, with nothing around it that a server would do, too.
func (p *inProcess) ask(reference string) (func() error, error) {
	body, err := json.Marshal(map[string]any{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest",
		"request": map[string]any{"keys": []string{reference}}})
	if err != nil {
		return nil, err
	}
	reader := bytes.NewReader(body)
	request := httptest.NewRequest(http.MethodPost, "/ratify/gatekeeper/v1/verify", reader)
	w := &answer{header: http.Header{}}
	return func() error {
		reader.Reset(body)
		clear(w.header)
		w.body = w.body[:0]
		p.handler.ServeHTTP(w, request)
		if !bytes.Contains(w.body, []byte(`"isSuccess":true`)) {
			return fmt.Errorf("not admitted: %s", w.body)
		}
		return nil
	}, nil
}

// answer is a http.ResponseWriter that is used again.
type answer struct {
	header http.Header
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(int) {}

func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}
