package gatekeeper

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// authority is a CA made for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{}
	a.cert, a.key = issue(t, name, true, nil)
	return a
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) leaf(t *testing.T, name string) tls.Certificate {
	t.Helper()
	cert, key := issue(t, name, false, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func issue(t *testing.T, name string, ca bool, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, IsCA: ca, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	signer, signerKey := template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func writeServerCertificate(t *testing.T, dir string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(dir, certFile), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]}))
	replace(t, filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
}

// replace puts a file in place as the kubelet does: whole.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// start serves handler until the test ends, and returns the address and how to stop it earlier.
func start(t *testing.T, s *Server) (string, func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listener) }()
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String(), stop
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// get makes one request on a connection of its own.
func get(t *testing.T, address string, config *tls.Config) error {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello" {
		return errors.Join(err, errors.New("body "+string(body)))
	}
	return nil
}

// eventually asks again until the answer is right: followed files are seen with a delay that no test can know.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	var err error
	for time.Now().Before(deadline) {
		if err = try(); err == nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("%s: %v", what, err)
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	serverCA, clientCA := newAuthority(t, "server CA"), newAuthority(t, "client CA")
	writeServerCertificate(t, dir, serverCA.leaf(t, "ratify"))
	caFile := filepath.Join(dir, "ca.crt")
	replace(t, caFile, clientCA.pem())
	address, _ := start(t, &Server{Handler: http.HandlerFunc(hello), CertDir: dir, ClientCAFile: caFile, Log: discard})

	client := func(server *authority, certificates ...tls.Certificate) *tls.Config {
		pool := x509.NewCertPool()
		pool.AddCert(server.cert)
		return &tls.Config{RootCAs: pool, Certificates: certificates}
	}
	gatekeeper := clientCA.leaf(t, "gatekeeper")
	if err := get(t, address, client(serverCA, gatekeeper)); err != nil {
		t.Errorf("Gatekeeper was refused: %v", err)
	}
	if err := get(t, address, client(serverCA)); err == nil {
		t.Error("a client without certificate was let in")
	}
	if err := get(t, address, client(serverCA, newAuthority(t, "client CA").leaf(t, "gatekeeper"))); err == nil {
		t.Error("a stranger was let in")
	}
	old := client(serverCA, gatekeeper)
	old.MaxVersion = tls.VersionTLS12
	if err := get(t, address, old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}

	// Both sides rotate.
	newServerCA, newClientCA := newAuthority(t, "server CA 2"), newAuthority(t, "client CA 2")
	writeServerCertificate(t, dir, newServerCA.leaf(t, "ratify"))
	replace(t, caFile, newClientCA.pem())
	eventually(t, "the new certificates are not used", func() error {
		return get(t, address, client(newServerCA, newClientCA.leaf(t, "gatekeeper")))
	})
	if err := get(t, address, client(newServerCA, gatekeeper)); err == nil {
		t.Error("a certificate of the old client CA was let in")
	}

	// A broken file changes nothing.
	replace(t, caFile, []byte("broken"))
	if err := get(t, address, client(newServerCA, newClientCA.leaf(t, "gatekeeper"))); err != nil {
		t.Errorf("with a broken client CA file: %v", err)
	}
}

func TestServeSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	withCertificate := t.TempDir()
	writeServerCertificate(t, withCertificate, newAuthority(t, "ca").leaf(t, "ratify"))
	empty := filepath.Join(dir, "empty.crt")
	replace(t, empty, nil)
	for want, s := range map[string]*Server{
		"--cert-dir":         {ClientCAFile: empty},
		"tls.crt":            {CertDir: dir},
		"no PEM certificate": {CertDir: withCertificate, ClientCAFile: empty},
		"no such file":       {CertDir: withCertificate, ClientCAFile: filepath.Join(dir, "gone")},
	} {
		s.Handler, s.Log = http.HandlerFunc(hello), discard
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(t.Context(), listener); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		if _, err := listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener was left open: %v", want, err)
		}
	}
}

func TestDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	address, stop := start(t, &Server{Log: discard, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		hello(w, r)
	})})
	answered := make(chan string, 1)
	go func() {
		res, err := http.Post("http://"+address, "text/plain", bytes.NewReader(nil))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		answered <- string(body)
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a request in flight: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if got := <-answered; got != "hello" {
		t.Errorf("the request in flight got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestHealth(t *testing.T) {
	ready := errors.New("no store is configured")
	h := HealthHandler(func() error { return ready })
	check := func(path string, status int, text string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 503, "no store is configured")
	ready = nil
	check("/readyz", 200, "ok")
}

// Whoever connects and then neither sends nor reads must not hold a connection for ever.
func TestEveryPhaseOfAConnectionEnds(t *testing.T) {
	s := newHTTPServer(http.NotFoundHandler(), discard)
	for name, timeout := range map[string]time.Duration{
		"header": s.ReadHeaderTimeout, "request": s.ReadTimeout, "answer": s.WriteTimeout, "idle": s.IdleTimeout,
	} {
		if timeout <= 0 || timeout > 2*time.Minute {
			t.Errorf("%s: %s", name, timeout)
		}
	}
}
