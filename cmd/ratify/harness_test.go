package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario/scenariotest"
)

// asMain, in the environment, makes the test binary the ratify binary, with the race detector.
const asMain = "RATIFY_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	setFormat(io.Discard, "")
	os.Exit(m.Run())
}

// newWorld starts a cloud for a test.
func newWorld(t *testing.T, o emulator.Options) *scenario.World {
	t.Helper()
	return scenariotest.Start(t, o)
}

// push pushes an image and returns its reference by digest.
func push(t *testing.T, w *scenario.World, r scenario.Registry, repository string, kind scenario.Kind) string {
	t.Helper()
	image, err := w.Push(t.Context(), r, repository, kind)
	if err != nil {
		t.Fatalf("push %s: %v", repository, err)
	}
	return r.Host + "/" + repository + "@" + image.Digest.String()
}

// inProcess is the server's inside, at the emulated cloud, asked over a real socket.
type inProcess struct {
	*app
	url string
	t   *testing.T
}

// startInProcess starts all of serve but its flags, files and signals.
func startInProcess(t *testing.T, w *scenario.World, o serveOptions, content []byte) *inProcess {
	t.Helper()
	for _, variable := range w.Cloud.PodEnv() {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "ALIBABA_CLOUD_") { // the proxy and the CA come with the transport
			t.Setenv(name, value)
		}
	}
	transport := w.Cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	env := environment{metrics: metrics.New(), log: slog.New(slog.DiscardHandler), transport: transport}
	c, err := config.Parse("config.json", content, env.log)
	if err != nil {
		t.Fatal(err)
	}
	p := &inProcess{app: newApp(env, o, c), t: t}
	if err := p.load(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p.handler)
	p.url = server.URL
	t.Cleanup(server.Close)
	return p
}

// reload loads another configuration.
func (p *inProcess) reload(content []byte) {
	p.t.Helper()
	c, err := config.Parse("config.json", content, p.log)
	if err := p.load(p.t.Context(), c, err); err != nil {
		p.t.Fatal(err)
	}
}

func (p *inProcess) ask(images ...string) gatekeeper.Answer {
	p.t.Helper()
	a, err := gatekeeper.Ask(p.t.Context(), http.DefaultClient, p.url, images...)
	if err != nil {
		p.t.Fatal(err)
	}
	return a
}
