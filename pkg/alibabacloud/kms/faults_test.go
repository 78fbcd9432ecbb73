package kms

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// openAPIFault is an error of the OpenAPI.
func openAPIFault(status int, code string) emulator.Fault {
	return emulator.Fault{Status: status, Body: `{"Code":"` + code + `","Message":"m","RequestId":"r"}`}
}

func TestFaults(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	w.KMS().PutSecret("s", "data")
	if _, err := w.dedicated.Secret(t.Context(), "s", SecretVersion{}); err != nil { // a session is at hand
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		fault     emulator.Fault
		clientKey *emulator.Fault // instead of fault, for the client key's protocol
		fails     string          // empty: the call succeeds in the end
		is        error
		calls     int // 0: any number
	}{
		"hang":               {fault: emulator.Fault{Hang: true}, fails: "no complete answer in time", is: context.DeadlineExceeded, calls: 1},
		"drip":               {fault: emulator.Fault{Drip: true}, fails: "no complete answer in time", is: context.DeadlineExceeded, calls: 1},
		"reset":              {fault: emulator.Fault{Reset: true}, fails: "check the network"},
		"reset once":         {fault: emulator.Fault{Reset: true, Times: 1}},
		"oversize":           {fault: emulator.Fault{Oversize: true}, fails: "more than 1048576 bytes", is: reply.ErrTooLarge, calls: 1},
		"a proxy's page":     {fault: page(http.StatusForbidden), fails: "403 Forbidden, text/html", calls: 1},
		"a page with 200":    {fault: page(http.StatusOK), fails: "200 OK, text/html", calls: 1},
		"a page with 502":    {fault: page(http.StatusBadGateway), fails: "502 Bad Gateway, text/html", calls: 3},
		"redirect":           {fault: emulator.Fault{Status: http.StatusFound, Header: http.Header{"Location": {"https://kms.cn-hangzhou.aliyuncs.com/"}}}, fails: "302 Found", calls: 1},
		"throttled once":     {fault: openAPIFault(429, "Rejected.Throttling"), clientKey: fault(emulated.ClientKeyFault(429, "Rejected.Throttling", "m")), calls: 2},
		"unavailable once":   {fault: openAPIFault(503, "ServiceUnavailableTemporary"), clientKey: fault(emulated.ClientKeyFault(503, "ServiceUnavailableTemporary", "m")), calls: 2},
		"throttled with 400": {fault: openAPIFault(400, "Rejected.Throttling"), clientKey: fault(emulated.ClientKeyFault(400, "Rejected.Throttling", "m")), calls: 2},
	} {
		for way, client := range map[string]Client{"OpenAPI": w.dedicated, "client key": w.clientKey} {
			t.Run(name+" "+way, func(t *testing.T) {
				set := tc.fault
				if way == "client key" && tc.clientKey != nil {
					set = *tc.clientKey
				}
				if strings.Contains(name, "once") || strings.Contains(name, "with 400") {
					set.Times = 1
				}
				timeout := 10 * time.Second // so that all attempts are made on a busy machine, too
				if set.Hang || set.Drip {
					timeout = 500 * time.Millisecond
				}
				w.dedicated.cfg.Timeout, w.clientKey.cfg.Timeout = timeout, timeout
				w.Endpoint(kstHost).SetFault(set)
				defer w.Endpoint(kstHost).SetFault(emulator.Fault{})
				w.ResetCalls()
				secret, err := client.Secret(t.Context(), "s", SecretVersion{})
				if calls := w.Calls()[kstHost+" GetSecretValue"]; tc.calls != 0 && calls != tc.calls {
					t.Errorf("%d calls, want %d", calls, tc.calls)
				}
				if tc.fails == "" {
					if err != nil || string(secret.Data) != "data" {
						t.Errorf("got %v, %v", secret, err)
					}
					return
				}
				if _, isOurs := errors.AsType[*Error](err); !isOurs || !strings.Contains(err.Error(), tc.fails) || tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("got %v, want %q", err, tc.fails)
				}
				for _, about := range []error{ErrNotFound, ErrUnusable, ErrDenied, ErrUnsupported} {
					if errors.Is(err, about) {
						t.Errorf("%v is %v", err, about)
					}
				}
			})
		}
	}
	// Wrong bytes are found by whoever reads them, or by the signature's check.
	w.Endpoint(kstHost).SetFault(emulator.Fault{Corrupt: true})
	defer w.Endpoint(kstHost).SetFault(emulator.Fault{})
	for _, client := range []Client{w.dedicated, w.clientKey} {
		if _, err := client.PublicKey(t.Context(), "key-1", map[bool]string{true: "v"}[client == Client(w.dedicated)]); err == nil {
			t.Errorf("%s: wrong bytes are a public key", client)
		}
	}
}

func fault(f emulator.Fault) *emulator.Fault { return &f }

// page is the answer of a proxy.
func page(status int) emulator.Fault {
	return emulator.Fault{Status: status, Body: "<html><body>hush</body></html>", Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}}
}

func TestCallerGivesUp(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	entered := make(chan struct{}, 2)
	w.Endpoint(kstHost).SetFault(emulator.Fault{Hang: true, Match: func(*http.Request) bool { entered <- struct{}{}; return true }})
	for _, client := range []Client{w.dedicated, w.clientKey} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := client.Secret(ctx, "s", SecretVersion{})
			done <- err
		}()
		<-entered
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "gave up") {
			t.Errorf("%s: %v", client, err)
		}
	}
}

// Whom the clients trust: an instance is verified with its own CA and nothing else, and no other client shares that.
func TestTrust(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	const other = "kst-hzz9999999999"
	if err := w.AddKMSInstance(other, ""); err != nil {
		t.Fatal(err)
	}
	w.KMS().PutSecret("s", "data")
	file, password, err := w.KMS().AddClientKey(kst)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		ca []byte
		ok bool
	}{
		"the instance's CA": {w.KMSInstanceCA(kst), true},
		"two CAs":           {append(bytes.Clone(w.KMSInstanceCA(other)), w.KMSInstanceCA(kst)...), true},
		"another's CA":      {w.KMSInstanceCA(other), false},
		"the system's":      {nil, false},
	} {
		for way, client := range map[string]Client{
			"OpenAPI":    w.openAPI(Config{Region: "cn-hangzhou", Endpoint: kstHost, CABundle: tc.ca}),
			"client key": w.newClientKey(ClientKeyConfig{Key: file, Password: password, CABundle: tc.ca}),
		} {
			w.ResetCalls()
			_, err := client.Secret(t.Context(), "s", SecretVersion{})
			if tc.ok {
				if err != nil {
					t.Errorf("%s, %s: %v", way, name, err)
				}
				continue
			}
			if _, unverified := errors.AsType[*tls.CertificateVerificationError](err); !unverified || !strings.Contains(err.Error(), "caBundle") ||
				!strings.Contains(err.Error(), EnvCAFile) || !strings.Contains(err.Error(), "PrivateKmsCA_"+kst+".pem") {
				t.Errorf("%s, %s: %v", way, name, err)
			}
			if calls := w.Calls()[kstHost+" GetSecretValue"]; calls != 0 {
				t.Errorf("%s, %s: %d requests were sent", way, name, calls)
			}
		}
	}
	// The shared gateway is verified with the system's authorities all the same.
	id := must(w.KMS().AddKey(emulated.KeyOptions{Spec: string(ECP256), Material: ecKey()}))
	if _, err := w.dedicated.DescribeKey(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// The certificate of a client key is offered to a server that asks for one, with which it agrees on TLS 1.2 at least.
func TestClientCertificate(t *testing.T) {
	var offered int
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { offered = len(r.TLS.PeerCertificates) }))
	defer server.Close()
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	client := must(NewClientKey(ClientKeyConfig{Endpoint: strings.TrimPrefix(server.URL, "https://"), Key: cannedKey(), Password: password,
		CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), Transport: &http.Transport{}}))
	if _, err := client.PublicKey(t.Context(), "key-1", ""); err == nil || !strings.Contains(err.Error(), "no KeyId") || offered != 1 {
		t.Errorf("got %v, with %d certificates", err, offered)
	}
}
