package referrerstore

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// user is a provider with the password that the fake is told to want.
func user(password string) *testProvider {
	return &testProvider{config: authprovider.AuthConfig{Username: "user", Password: password}}
}

func TestRequestsOfVerification(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	first, firstDesc := f.image("team/app", "v1")
	f.sign("team/app", firstDesc, "signature 1")
	again, againDesc := f.image("team/app", "v2")
	f.sign("team/app", againDesc, "signature 2")
	second, secondDesc := f.image("team/other", "v1")
	f.sign("team/other", secondDesc, "signature 3")
	provider := user("secret")
	s := f.store(provider)
	f.counts()

	wantBlobs(t, s, first, "signature 1")
	f.wantCalls("cold", map[string]int{"GET v2": 1, "GET token": 1, "HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1, "GET blobs": 1})
	wantBlobs(t, s, again, "signature 2")
	f.wantCalls("known repository", map[string]int{"HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1, "GET blobs": 1})
	wantBlobs(t, s, second, "signature 3")
	f.wantCalls("known registry", map[string]int{"GET token": 1, "HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1, "GET blobs": 1})
	wantBlobs(t, s, first, "signature 1")
	f.wantCalls("contents in memory", map[string]int{"HEAD manifests": 1, "GET referrers": 1})
	if n := provider.count(); n == 0 || n > 4 {
		t.Errorf("the provider was asked %d times", n)
	}
}

func TestSchemes(t *testing.T) {
	for name, test := range map[string]struct {
		challenge, password string
		provider            authprovider.AuthProvider
	}{
		"bearer":           {`Bearer realm="https://auth.example.com/token",service="fake"`, "secret", user("secret")},
		"bearer anonymous": {`Bearer realm="https://auth.example.com/token",service="fake"`, "", nil},
		"basic":            {`Basic realm="fake"`, "secret", user("secret")},
		"both":             {`Bearer realm="https://auth.example.com/token"`, "secret", user("secret")},
		"open":             {"", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.challenge, f.password = test.challenge, test.password
			subject, desc := f.image("app", "v1")
			f.sign("app", desc, "signature")
			wantBlobs(t, f.store(test.provider), subject, "signature")
		})
	}
}

func TestIdentityToken(t *testing.T) {
	f := newFake(t)
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	f.on(func(r *http.Request) bool { return r.Host == tokenHost }, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "refresh_token" || r.PostFormValue("refresh_token") != "identity" ||
			r.URL.RawQuery != "" || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.set(func() { f.tokens["by-identity"] = r.PostFormValue("scope") })
		fmt.Fprint(w, `{"access_token":"by-identity"}`)
	})
	s := f.store(&testProvider{config: authprovider.AuthConfig{IdentityToken: "identity"}})
	wantBlobs(t, s, subject, "signature")
}

func TestTokenLife(t *testing.T) {
	f := newFake(t)
	f.password, f.life = "secret", 300
	subject, _ := f.image("app", "v1")
	s := f.store(user("secret"))
	get := func() {
		t.Helper()
		if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
	}
	get()
	f.counts()
	f.clock.Advance(200 * time.Second)
	get()
	f.wantCalls("valid token", map[string]int{"HEAD manifests": 1})
	f.clock.Advance(100 * time.Second)
	get()
	f.wantCalls("ended token", map[string]int{"GET token": 1, "HEAD manifests": 1})
	f.set(func() { clear(f.tokens) })
	get()
	f.wantCalls("revoked token", map[string]int{"GET token": 1, "HEAD manifests": 2})
}

func TestRefusedCredentials(t *testing.T) {
	for _, challenge := range []string{`Bearer realm="https://auth.example.com/token",service="fake"`, `Basic realm="fake"`} {
		t.Run(strings.Fields(challenge)[0], func(t *testing.T) {
			f := newFake(t)
			f.challenge, f.password = challenge, "new"
			subject, _ := f.image("app", "v1")

			t.Run("provider has new ones", func(t *testing.T) {
				p := &refusingProvider{testProvider: *user("old"), next: authprovider.AuthConfig{Username: "user", Password: "new"}}
				s := f.store(p)
				if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
					t.Fatal(err)
				}
				if len(p.refused) != 1 || p.refused[0] != registryHost+"/app old" {
					t.Errorf("told of %q", p.refused)
				}
			})
			t.Run("provider has none", func(t *testing.T) {
				p := &refusingProvider{testProvider: *user("wrong-secret")}
				s := f.store(p)
				for range 3 {
					_, err := s.GetSubjectDescriptor(t.Context(), subject)
					wantError(t, err, registryHost+"/app", "refused the credentials", "401", "instance cri-default")
					if e := (*Error)(nil); !errors.As(err, &e) || e.StatusCode != http.StatusUnauthorized || e.Registry != registryHost {
						t.Errorf("error %#v", err)
					}
					if strings.Contains(err.Error(), "wrong-secret") {
						t.Errorf("secret in %q", err)
					}
				}
				if len(p.refused) != 1 {
					t.Errorf("the provider had to renew %d times within a minute", len(p.refused))
				}
				p.next = authprovider.AuthConfig{Username: "user", Password: "new"}
				f.clock.Advance(2 * time.Minute)
				if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
					t.Errorf("after the pause: %v", err)
				}
			})
			t.Run("file was changed", func(t *testing.T) {
				p := user("old")
				p.config.ExpiresOn = f.clock.Now().Add(time.Hour)
				s := f.store(p)
				f.set(func() { f.password = "old" })
				if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
					t.Fatal(err)
				}
				f.set(func() { f.password = "new"; clear(f.tokens) })
				p.set(authprovider.AuthConfig{Username: "user", Password: "new", ExpiresOn: f.clock.Now().Add(time.Hour)}, nil)
				if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRefusedByMany(t *testing.T) {
	f := newFake(t)
	f.password = "new"
	subject, _ := f.image("app", "v1")
	p := &refusingProvider{testProvider: *user("old"), next: authprovider.AuthConfig{Username: "user", Password: "new"}}
	s := f.store(p)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			subject := subject
			if i%2 == 0 {
				subject.Path += fmt.Sprint("/none", i)
			}
			_, err := s.GetSubjectDescriptor(t.Context(), subject)
			if i%2 == 1 && err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(p.refused) != 1 {
		t.Errorf("told of %d refusals, want 1", len(p.refused))
	}
}

func TestForbidden(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, _ := f.image("app", "v1")
	f.on(isKind("manifests"), func(w http.ResponseWriter, r *http.Request) {
		deny(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
	})
	_, err := f.store(user("secret")).ListReferrers(t.Context(), subject, nil, "", nil)
	wantError(t, err, "403", "refused the credentials of auth provider")
}

func TestRedirect(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	redirect := func(to string) {
		f.on(func(r *http.Request) bool { return isKind("blobs")(r) && r.Host == registryHost }, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, to+r.URL.Path+"?Signature=signed-secret", http.StatusTemporaryRedirect)
		})
	}
	redirect("https://" + blobHost)
	wantBlobs(t, f.store(user("secret")), subject, "signature")
	f.set(func() {
		if seen := f.headers[blobHost+" GET blobs"]; len(seen) != 1 || seen[0].Get("Authorization") != "" {
			t.Errorf("object storage saw %v", seen)
		}
		for _, header := range f.headers[registryHost+" GET blobs"] {
			if !strings.HasPrefix(header.Get("Authorization"), "Bearer ") {
				t.Errorf("registry saw %v", header)
			}
		}
		for host, headers := range f.headers {
			for _, header := range headers {
				if strings.HasPrefix(header.Get("Authorization"), "Basic") != strings.HasPrefix(host, tokenHost) {
					t.Errorf("%s saw %v", host, header)
				}
			}
		}
	})
	for _, to := range []string{"http://" + blobHost, "https://localhost", "https://127.0.0.1", "https://nowhere.example.com", "file:///etc/passwd"} {
		redirect(to)
		_, err := verify(t.Context(), f.store(user("secret")), subject)
		if err == nil {
			t.Errorf("redirect to %s was followed", to)
		} else if strings.Contains(err.Error(), "signed-secret") {
			t.Errorf("secret in %q", err)
		}
	}
	// The object storage's refusal is not the registry's: no new credentials help.
	f.on(func(r *http.Request) bool { return isKind("blobs")(r) }, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == registryHost {
			http.Redirect(w, r, "https://"+blobHost+r.URL.Path+"?Signature=signed-secret", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Www-Authenticate", `Basic realm="give me"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	_, err := verify(t.Context(), f.store(user("secret")), subject)
	wantError(t, err, blobHost+" answered 401")
	if strings.Contains(err.Error(), "signed-secret") {
		t.Errorf("secret in %q", err)
	}
	f.set(func() {
		for _, header := range f.headers[blobHost+" GET blobs"] {
			if header.Get("Authorization") != "" {
				t.Errorf("object storage saw %v", header)
			}
		}
	})
	// oras-go words this with the last URL.
	f.on(isKind("blobs"), func(w http.ResponseWriter, r *http.Request) {
		if r.Host == registryHost {
			http.Redirect(w, r, "https://"+blobHost+r.URL.Path+"?Signature=signed-secret", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Docker-Content-Digest", desc.Digest.String())
		fmt.Fprint(w, "another blob")
	})
	_, err = verify(t.Context(), f.store(user("secret")), subject)
	wantError(t, err, blobHost)
	if strings.Contains(err.Error(), "signed-secret") {
		t.Errorf("secret in %q", err)
	}
}

func TestRealm(t *testing.T) {
	for realm, want := range map[string]string{
		"http://auth.example.com/token":        "not https",
		"https://127.0.0.1/token":              "an address",
		"https://localhost/token":              "this machine",
		"https://100.100.100.200/token":        "an address",
		"https://[::1]:443/token":              "an address",
		"ftp://auth.example.com":               "not https",
		"/token":                               "not an absolute URL",
		"":                                     "not an absolute URL",
		"https://user:pw@auth.example.com/":    "not an absolute URL",
		"https://" + strings.Repeat("a", 3000): "too long",
		"%zz":                                  "no URL",
	} {
		f := newFake(t)
		subject, _ := f.image("app", "v1")
		f.password, f.challenge = "secret", fmt.Sprintf(`Bearer realm="%s",service="fake"`, realm)
		_, err := f.store(user("secret")).GetSubjectDescriptor(t.Context(), subject)
		wantError(t, err, registryHost, want)
		if n := f.counts()["GET token"]; n != 0 {
			t.Errorf("realm %q was asked", realm)
		}
	}
}

func TestChallengeChanges(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, _ := f.image("app", "v1")
	s := f.store(user("secret"))
	for _, challenge := range []string{`Basic realm="fake"`, `Bearer realm="https://other.example.com/token",service="fake"`, ""} {
		f.set(func() { f.challenge = challenge; clear(f.tokens) })
		f.on(func(r *http.Request) bool { return r.Host == "other.example.com" }, f.serveToken)
		if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Errorf("%s: %v", challenge, err)
		}
	}
	f.set(func() { f.challenge = `Negotiate` })
	_, err := f.store(user("secret")).GetSubjectDescriptor(t.Context(), subject)
	wantError(t, err, "without a Basic or Bearer challenge")
}

// A registry may move to another token service while the former one is switched off.
func TestTokenServiceMoves(t *testing.T) {
	for name, former := range map[string]http.HandlerFunc{"gone": http.NotFound,
		"refusing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }} {
		f := newFake(t)
		f.password, f.life = "secret", 60
		subject, _ := f.image("app", "v1")
		s := f.store(user("secret"))
		if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(time.Minute)
		f.set(func() {
			f.challenge = `Bearer realm="https://other.example.com/token",service="fake"`
			f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
				switch r.Host {
				case tokenHost:
					former(w, r)
				case "other.example.com":
					f.serveToken(w, r)
				default:
					return false
				}
				return true
			}
		})
		_, _ = s.GetSubjectDescriptor(t.Context(), subject) // may fail
		if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Errorf("%s: after the former token service has failed: %v", name, err)
		}
	}
}

func TestTokenServiceLies(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, _ := f.image("app", "v1")
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"html":  {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>top-secret</html>") }, "not a token's JSON"},
		"empty": {func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") }, "holds no token"},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, "more than"},
		"not found": {http.NotFound, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			f.on(func(r *http.Request) bool { return r.Host == tokenHost }, test.handler)
			s := f.store(user("secret"))
			_, err := s.GetSubjectDescriptor(t.Context(), subject)
			wantError(t, err, tokenHost, test.want)
			if errors.Is(err, ErrNotFound) || strings.Contains(err.Error(), "top-secret") {
				t.Errorf("got %v", err)
			}
			f.set(func() { f.intercept = nil })
			if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
				t.Errorf("after the fault: %v", err)
			}
		})
	}
}
