package cosign

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// loopback returns a transport that reaches no other machine, and leaves no connection behind.
func loopback(t testing.TB) http.RoundTripper {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			return nil, fmt.Errorf("a test calls %s", address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// fakeRekor is a transparency log that answers searches with what answer writes.
type fakeRekor struct {
	url   string
	asked atomic.Int32
}

func newRekor(t testing.TB, answer http.HandlerFunc) *fakeRekor {
	t.Helper()
	r := &fakeRekor{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.asked.Add(1)
		if request.Method != http.MethodPost || request.URL.Path != "/api/v1/log/entries/retrieve" {
			http.Error(w, request.Method+" "+request.URL.Path, http.StatusNotFound)
			return
		}
		answer(w, request)
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// entries answers with the entries.
func entries(t testing.TB, found ...map[string]any) http.HandlerFunc {
	t.Helper()
	if found == nil {
		found = []map[string]any{}
	}
	text := must(json.Marshal(found))(t)
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text) }
}

// trustLog makes a log the one that the environment trusts.
func trustLog(t testing.TB, log signing.CosignLog) {
	t.Helper()
	t.Setenv(envRekorKey, writeFile(t, must(log.PEM())(t)))
}
