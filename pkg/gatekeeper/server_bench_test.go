package gatekeeper

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
)

// What a known verdict costs over TLS, 16 clients asking, with what the clients cost, which do as little as possible.
func BenchmarkServe(b *testing.B) {
	const clients = 16
	session := known{ordinary(b)}
	handler := NewHandler(func() Session { return session }, HandlerOptions{Metrics: metrics.New(), Log: slog.New(slog.NewTextHandler(nowhere{}, nil))})
	s := httptest.NewUnstartedServer(nil)
	s.Config = newHTTPServer(handler, slog.New(slog.DiscardHandler))
	s.StartTLS()
	defer s.Close()
	trusted := s.Client().Transport.(*http.Transport).TLSClientConfig
	body := usualBegin + image + usualEnd
	request := fmt.Appendf(nil, "POST %s/verify HTTP/1.1\r\nHost: ratify\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\n"+
		"Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n%s", root, len(body), body)
	b.ReportAllocs()
	b.SetParallelism(max(1, clients/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		address := s.Listener.Addr().(*net.TCPAddr)
		connection, err := tls.Dial("tcp", address.String(), &tls.Config{RootCAs: trusted.RootCAs, ServerName: "example.com", MinVersion: tls.VersionTLS13})
		if err != nil {
			b.Error(err)
			return
		}
		defer connection.Close()
		answers := bufio.NewReader(connection)
		for pb.Next() {
			if _, err := connection.Write(request); err != nil {
				b.Error(err)
				return
			}
			res, err := http.ReadResponse(answers, nil)
			if err != nil || res.StatusCode != http.StatusOK {
				b.Error(res, err)
				return
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
