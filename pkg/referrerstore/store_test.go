package referrerstore

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/common"
)

func TestCollapse(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	p := user("secret")
	p.config.ExpiresOn = f.clock.Now().Add(time.Hour)
	s := f.store(p, "cacheEnabled", true)
	f.counts()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if blobs, err := verify(t.Context(), s, subject); err != nil || len(blobs) != 1 || blobs[0] != "signature" {
				t.Errorf("%q, %v", blobs, err)
			}
		})
	}
	wg.Wait()
	f.wantCalls("100 at once", map[string]int{"GET v2": 1, "GET token": 1, "HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1, "GET blobs": 1})
	if p.count() != 1 {
		t.Errorf("the provider was asked %d times", p.count())
	}
}

func TestCABundle(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	untrusting := Options{Transport: f.dial(&http.Transport{})}
	_, err := f.storeWith(untrusting, nil).GetSubjectDescriptor(t.Context(), subject)
	wantError(t, err, "caBundle", registryHost)
	wantBlobs(t, f.storeWith(untrusting, nil, "caBundle", f.pem()), subject, "signature")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(f.pem()), 0o600); err != nil {
		t.Fatal(err)
	}
	wantBlobs(t, f.storeWith(untrusting, nil, "caBundle", file), subject, "signature")
	missing := common.Reference{Path: "nowhere.example.com/app", Tag: "v1"}
	_, err = f.store(nil).GetSubjectDescriptor(t.Context(), missing)
	wantError(t, err, "nowhere.example.com", "DNS")
}

func TestLoopback(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	o := Options{Transport: &http.Transport{}}
	local := func(host, address string) common.Reference {
		_, port, _ := strings.Cut(address, ":")
		return common.Reference{Path: host + ":" + port + "/app", Digest: subject.Digest}
	}
	tls, plain := f.front.Listener.Addr().String(), strings.TrimPrefix(f.back.URL, "http://")
	wantBlobs(t, f.storeWith(o, nil), local("127.0.0.1", tls), "signature")
	wantBlobs(t, f.storeWith(o, nil), local("localhost", tls), "signature")
	wantBlobs(t, f.storeWith(o, nil, "useHttp", true), local("127.0.0.1", plain), "signature")
	_, err := f.storeWith(o, nil).GetSubjectDescriptor(t.Context(), local("127.0.0.1", plain))
	wantError(t, err, "useHttp")
	// A path that looks like an address does not turn verification off.
	_, err = f.storeWith(Options{Transport: f.dial(&http.Transport{})}, nil).GetSubjectDescriptor(t.Context(),
		common.Reference{Path: registryHost + "/127.0.0.1/app", Digest: subject.Digest})
	wantError(t, err, "caBundle")
}

func TestHooks(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	var mu sync.Mutex
	requests, hits := map[string]int{}, map[bool]int{}
	o := Options{UserAgent: "ratify-alibabacloud/test",
		OnRequest: func(host string, status int) { mu.Lock(); defer mu.Unlock(); requests[fmt.Sprint(host, " ", status)]++ },
		OnCache:   func(hit bool) { mu.Lock(); defer mu.Unlock(); hits[hit]++ }}
	s := f.storeWith(o, user("secret"))
	wantBlobs(t, s, subject, "signature")
	wantBlobs(t, s, subject, "signature")
	if hits[true] != 2 || hits[false] != 2 {
		t.Errorf("cache look-ups %v", hits)
	}
	if requests[registryHost+" 401"] != 1 || requests[registryHost+" 200"] != 6 || requests[tokenHost+" 200"] != 1 {
		t.Errorf("requests %v", requests)
	}
	f.set(func() {
		for call, headers := range f.headers {
			for _, header := range headers {
				if header.Get("User-Agent") != "ratify-alibabacloud/test" {
					t.Errorf("%s has User-Agent %q", call, header.Get("User-Agent"))
				}
			}
		}
	})
}
