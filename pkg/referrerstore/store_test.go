package referrerstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	upstream "github.com/ratify-project/ratify/pkg/common/oras/authprovider"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"oras.land/oras-go/v2/content"
)

// user is a provider with the password that the fake is told to want.
func user(password string) *testProvider {
	return &testProvider{config: upstream.AuthConfig{Username: "user", Password: password}}
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
		provider            upstream.AuthProvider
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
	s := f.store(&testProvider{config: upstream.AuthConfig{IdentityToken: "identity"}})
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
				p := &refusingProvider{testProvider: *user("old"), next: upstream.AuthConfig{Username: "user", Password: "new"}}
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
				p.next = upstream.AuthConfig{Username: "user", Password: "new"}
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
				p.set(upstream.AuthConfig{Username: "user", Password: "new", ExpiresOn: f.clock.Now().Add(time.Hour)}, nil)
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
	p := &refusingProvider{testProvider: *user("old"), next: upstream.AuthConfig{Username: "user", Password: "new"}}
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

func TestMetadataTTL(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	f.image("app/twin", "v1")
	s := f.store(nil, "cacheEnabled", "true", "ttl", "30")
	tagged := common.Reference{Path: subject.Path, Tag: "v1", Original: subject.Path + ":v1"}
	wantBlobs(t, s, tagged, "signature")
	f.counts()
	wantBlobs(t, s, tagged, "signature")
	wantBlobs(t, s, subject, "signature")
	f.wantCalls("within the ttl", map[string]int{})
	twin := subject
	twin.Path += "/twin"
	if _, err := s.GetSubjectDescriptor(t.Context(), twin); !errors.Is(err, ErrNotFound) {
		t.Errorf("another repository shares the cache: %v", err)
	}
	if _, err := s.GetBlobContent(t.Context(), twin, content.NewDescriptorFromBytes("", []byte("signature")).Digest); !errors.Is(err, ErrNotFound) {
		t.Logf("go-containerregistry keeps blobs for all repositories: %v", err)
	}
	f.counts()
	f.sign("app", desc, "signature 2")
	f.clock.Advance(31 * time.Second)
	wantBlobs(t, s, tagged, "signature", "signature 2")
}

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

func TestReferrersTag(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	manifest, _ := f.sign("app", desc, "signature")
	unsigned, _ := f.image("app", "v2")
	// A registry without the API: clients keep the list under a tag.
	manifest.ArtifactType = signatureType
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"artifactType":%q,"digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageIndex, manifest.MediaType, manifest.ArtifactType, manifest.Digest, manifest.Size)
	tag := strings.Replace(desc.Digest.String(), ":", "-", 1)
	pushed := f.push("app", ocispec.MediaTypeImageIndex, []byte(index))
	if err := f.repository("app").Tag(t.Context(), pushed, tag); err != nil {
		t.Fatal(err)
	}
	f.on(isKind("referrers"), http.NotFound)
	s := f.store(nil)
	f.counts()
	wantBlobs(t, s, unsigned)
	f.wantCalls("unsigned", map[string]int{"GET v2": 1, "HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1})
	wantBlobs(t, s, subject, "signature")
	f.wantCalls("first list", map[string]int{"HEAD manifests": 1, "GET referrers": 1, "GET manifests": 2, "GET blobs": 1})
	wantBlobs(t, s, unsigned)
	f.wantCalls("remembered", map[string]int{"HEAD manifests": 1, "GET manifests": 1})
	f.clock.Advance(noReferrersAPIFor)
	wantBlobs(t, s, unsigned)
	f.wantCalls("asked anew", map[string]int{"HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1})
}

func TestCosign(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	s := f.store(nil, "cosignEnabled", true)
	list, err := s.ListReferrers(t.Context(), subject, nil, "", nil)
	if err != nil || len(list.Referrers) != 1 {
		t.Fatalf("without cosign signature: %v, %v", list, err)
	}
	_, signed := f.image("app", strings.Replace(desc.Digest.String(), ":", "-", 1)+".sig")
	list, err = s.ListReferrers(t.Context(), subject, []string{cosignArtifactType}, "", nil)
	if err != nil || len(list.Referrers) != 1 || list.Referrers[0].Digest != signed.Digest || list.Referrers[0].ArtifactType != cosignArtifactType {
		t.Fatalf("%v, %v", list, err)
	}
	f.on(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, ".sig") }, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	if _, err := s.ListReferrers(t.Context(), subject, nil, "", nil); err == nil {
		t.Error("a failing look-up of the signature tag passed for none")
	}
}

func TestFilter(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	s := f.store(nil)
	for _, test := range []struct {
		types []string
		want  int
	}{{nil, 1}, {[]string{""}, 1}, {[]string{"*"}, 1}, {[]string{signatureType}, 1}, {[]string{"application/sbom"}, 0}} {
		list, err := s.ListReferrers(t.Context(), subject, test.types, "", &ocispecs.SubjectDescriptor{Descriptor: desc})
		if err != nil || len(list.Referrers) != test.want || list.NextToken != "" {
			t.Errorf("types %q: %v, %v", test.types, list, err)
		}
	}
	if _, err := s.ListReferrers(t.Context(), subject, nil, "2", nil); err == nil {
		t.Error("a page that does not exist")
	}
}

func TestHeadFallsBackToGet(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	for name, handler := range map[string]http.HandlerFunc{
		"not allowed": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) },
		"bare":        func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) },
	} {
		f.on(func(r *http.Request) bool { return r.Method == http.MethodHead }, handler)
		for _, ref := range []common.Reference{subject, {Path: subject.Path, Tag: "v1"}} {
			got, err := f.store(nil).GetSubjectDescriptor(t.Context(), ref)
			if err != nil || got.Digest != desc.Digest || got.Size != desc.Size {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
	f.on(func(r *http.Request) bool { return isKind("manifests")(r) }, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", digest.FromString("another").String())
		fmt.Fprint(w, "{}")
	})
	if got, err := f.store(nil).GetSubjectDescriptor(t.Context(), subject); err == nil {
		t.Errorf("another manifest than asked for: %v", got)
	}
}

func TestNotFound(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, _ := f.image("app", "v1")
	s := f.store(nil)
	missing := common.Reference{Path: subject.Path, Tag: "v9", Original: subject.Path + ":v9"}
	_, err := s.GetSubjectDescriptor(t.Context(), missing)
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	wantError(t, err, "resolving", subject.Path+":v9", "not found", "check the name")
	if _, err := s.GetBlobContent(t.Context(), subject, digest.FromString("none")); !errors.Is(err, ErrNotFound) {
		t.Errorf("blob: %v", err)
	}
	for _, ref := range []common.Reference{{}, {Path: "app"}, {Path: subject.Path}, {Path: subject.Path, Tag: "a b"}, {Path: subject.Path, Digest: "sha256:12"},
		{Path: subject.Path + strings.Repeat("/a", 1000), Tag: "v1"}} {
		if _, err := s.GetSubjectDescriptor(t.Context(), ref); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("reference %v: %v", ref, err)
		}
	}
}

func TestTamperedInRegistry(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	_, signature := f.sign("app", desc, "signature")
	for name, body := range map[string]string{"same size": "SIGNATURE", "longer": "signature and more", "shorter": "sign"} {
		for _, kind := range []string{"blobs", "manifests"} {
			f.on(func(r *http.Request) bool { return isKind(kind)(r) && r.Method == http.MethodGet }, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				fmt.Fprint(w, body)
			})
			s := f.store(nil)
			_, err := verify(t.Context(), s, subject)
			if err == nil || errors.Is(err, ErrMalformed) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrLimit) {
				t.Errorf("%s %s: %v, want an error that is no fact about the artifact", kind, name, err)
			}
			if _, err := s.GetBlobContent(t.Context(), subject, signature.Digest); kind == "blobs" && err == nil {
				t.Errorf("%s blob without its manifest: no error", name)
			}
		}
	}
	f.set(func() { f.intercept = nil })
	wantBlobs(t, f.store(nil), subject, "signature")
}

func TestTamperedOnDisk(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	dir := t.TempDir()
	wantBlobs(t, f.store(nil, "localCachePath", dir), subject, "signature")
	f.counts()
	wantBlobs(t, f.store(nil, "localCachePath", dir), subject, "signature")
	f.wantCalls("from disk", map[string]int{"GET v2": 1, "HEAD manifests": 1, "GET referrers": 1})
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "sha256-*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %q, %v", files, err)
	}
	for _, file := range files {
		data, _ := os.ReadFile(file)
		if err := os.WriteFile(file, bytes.ToUpper(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantBlobs(t, f.store(nil, "localCachePath", dir), subject, "signature")
	f.wantCalls("tampered", map[string]int{"GET v2": 1, "HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1, "GET blobs": 1})
}

func TestUnusableDiskCache(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantBlobs(t, f.store(nil, "localCachePath", file), subject, "signature")
}

func TestLimits(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	s := f.store(nil)
	referrer := func(manifest string) ocispecs.ReferenceDescriptor {
		f.push("app", ocispec.MediaTypeImageManifest, []byte(manifest))
		return descriptorOf([]byte(manifest), ocispec.MediaTypeImageManifest)
	}
	layer := func(size int64) string {
		return fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"a/b","digest":%q,"size":2},"layers":[{"mediaType":"a/b","digest":%q,"size":%d}]}`,
			digest.FromString("{}"), digest.FromString("big"), size)
	}

	t.Run("declared blob", func(t *testing.T) {
		manifest, err := s.GetReferenceManifest(t.Context(), subject, referrer(layer(maxBlob+1)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.GetBlobContent(t.Context(), subject, manifest.Blobs[0].Digest)
		if !errors.Is(err, ErrLimit) {
			t.Errorf("got %v", err)
		}
		wantError(t, err, "16777217 bytes")
	})
	t.Run("manifest", func(t *testing.T) {
		big := descriptorOf(nil, ocispec.MediaTypeImageManifest)
		big.Size = maxManifest + 1
		if _, err := s.GetReferenceManifest(t.Context(), subject, big); !errors.Is(err, ErrLimit) {
			t.Errorf("got %v", err)
		}
		big.Size = -1
		if _, err := s.GetReferenceManifest(t.Context(), subject, big); err == nil {
			t.Error("negative size")
		}
	})
	t.Run("malformed", func(t *testing.T) {
		for _, manifest := range []string{`{"schemaVersion":"`, `[]`, `"text"`, layer(-5), `{"mediaType":"application/other","layers":[]}`,
			`{"layers":[{"digest":"sha256:12","size":1}]}`} {
			if _, err := s.GetReferenceManifest(t.Context(), subject, referrerRaw(f, manifest)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", manifest, err)
			}
		}
		index := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
		f.push("app", ocispec.MediaTypeImageIndex, []byte(index))
		if _, err := s.GetReferenceManifest(t.Context(), subject, descriptorOf([]byte(index), ocispec.MediaTypeImageIndex)); !errors.Is(err, ErrMalformed) {
			t.Errorf("index: %v", err)
		}
	})
	t.Run("announced blob", func(t *testing.T) {
		f.on(isKind("blobs"), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(maxBlob+1))
			w.WriteHeader(http.StatusOK)
		})
		_, err := s.GetBlobContent(t.Context(), subject, digest.FromString("huge"))
		if err == nil || errors.Is(err, ErrLimit) {
			t.Errorf("got %v: what an answer says is no fact about the artifact", err)
		}
	})
	t.Run("referrers", func(t *testing.T) {
		for n, want := range map[int]error{maxReferrers: nil, maxReferrers + 1: ErrLimit} {
			f.on(isKind("referrers"), func(w http.ResponseWriter, r *http.Request) { serveIndex(w, "", n) })
			list, err := s.ListReferrers(t.Context(), subject, nil, "", &ocispecs.SubjectDescriptor{Descriptor: desc})
			if !errors.Is(err, want) || (want == nil && len(list.Referrers) != n) {
				t.Errorf("%d referrers: %d, %v", n, len(list.Referrers), err)
			}
		}
	})
	t.Run("endless list", func(t *testing.T) {
		f.on(isKind("referrers"), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			fmt.Fprint(w, `{"manifests":[`)
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
					return
				}
			}
		})
		_, err := s.ListReferrers(t.Context(), subject, nil, "", &ocispecs.SubjectDescriptor{Descriptor: desc})
		if err == nil || errors.Is(err, ErrLimit) {
			t.Errorf("got %v", err)
		}
	})
}

func referrerRaw(f *fake, manifest string) ocispecs.ReferenceDescriptor {
	d := descriptorOf([]byte(manifest), ocispec.MediaTypeImageManifest)
	f.on(func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, d.Digest.String()) }, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		fmt.Fprint(w, manifest)
	})
	return d
}

// serveIndex writes n referrers that start with prefix.
func serveIndex(w http.ResponseWriter, prefix string, n int) {
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	fmt.Fprint(w, `{"schemaVersion":2,"manifests":[`)
	for i := range n {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `{"mediaType":%q,"digest":%q,"size":1}`, ocispec.MediaTypeImageManifest, digest.FromString(fmt.Sprint(prefix, i)))
	}
	fmt.Fprint(w, `]}`)
}

func TestPaging(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	s := f.store(nil)
	list := func() (int, error) {
		list, err := s.ListReferrers(t.Context(), subject, nil, "", &ocispecs.SubjectDescriptor{Descriptor: desc})
		return len(list.Referrers), err
	}
	link := func(to func(r *http.Request) string) {
		f.on(isKind("referrers"), func(w http.ResponseWriter, r *http.Request) {
			if next := to(r); next != "" {
				w.Header().Set("Link", "<"+next+`>; rel="next"`)
			}
			serveIndex(w, r.FormValue("page"), 3)
		})
	}
	path := "/v2/app/referrers/" + desc.Digest.String()
	link(func(r *http.Request) string {
		return map[string]string{"": path + "?page=2", "2": path + "?page=3"}[r.FormValue("page")]
	})
	if n, err := list(); n != 9 || err != nil {
		t.Errorf("three pages: %d, %v", n, err)
	}
	link(func(r *http.Request) string { return path })
	f.counts()
	if n, err := list(); err == nil || errors.Is(err, ErrLimit) {
		t.Errorf("circle: %d, %v", n, err)
	}
	f.wantCalls("circle", map[string]int{"GET referrers": maxPages})
	for _, elsewhere := range []string{"https://other.example.com" + path, "http://registry.example.com" + path} {
		link(func(r *http.Request) string { return elsewhere })
		if n, err := list(); err == nil {
			t.Errorf("link to %s: %d", elsewhere, n)
		}
	}
	for _, bad := range []string{`{"digest":"sha256:12","size":1}`, fmt.Sprintf(`{"digest":%q,"size":-1}`, desc.Digest)} {
		f.on(isKind("referrers"), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			fmt.Fprintf(w, `{"manifests":[%s]}`, bad)
		})
		if n, err := list(); err == nil {
			t.Errorf("descriptor %s: %d", bad, n)
		}
	}
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

func TestFaults(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	hang := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
	reset := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, where := range []struct {
		name, host string
		match      func(*http.Request) bool
	}{
		{"token service", tokenHost, func(r *http.Request) bool { return r.Host == tokenHost }},
		{"check", registryHost, func(r *http.Request) bool { return r.URL.Path == "/v2/" }},
		{"subject", registryHost, func(r *http.Request) bool { return r.Method == http.MethodHead }},
		{"referrers", registryHost, isKind("referrers")},
		{"blob", registryHost, isKind("blobs")},
	} {
		for name, handler := range map[string]http.HandlerFunc{"hang": hang, "drip": drip, "reset": reset,
			"busy": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(http.StatusTooManyRequests)
			},
			"failing": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		} {
			t.Run(where.name+" "+name, func(t *testing.T) {
				t.Parallel()
				f := f.twin(t)
				f.on(where.match, handler)
				s := f.storeWith(Options{timeout: time.Second}, user("secret"))
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				began := time.Now()
				blobs, err := verify(ctx, s, subject)
				if where.name == "check" && (name == "busy" || name == "failing" || name == "drip") || (where.name == "subject" && name == "drip") {
					return // the request itself decides
				}
				wantError(t, err, where.host)
				if errors.Is(err, ErrNotFound) || errors.Is(err, ErrLimit) || errors.Is(err, ErrMalformed) || blobs != nil {
					t.Errorf("%q, %v", blobs, err)
				}
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %s", took)
				}
				f.set(func() { f.intercept = nil })
				wantBlobs(t, f.store(user("secret")), subject, "signature")
			})
		}
	}
}

// twin is a fake of its own before the same registry.
func (f *fake) twin(t *testing.T) *fake {
	twin := newFake(t)
	twin.back = f.back
	twin.password = f.password
	return twin
}

func TestRetry(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, _ := f.image("app", "v1")
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway} {
		var mu sync.Mutex
		left := 2
		f.on(isKind("manifests"), func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if left--; left >= 0 {
				w.WriteHeader(status)
				return
			}
			f.forward(w, r)
		})
		if _, err := f.store(nil).GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Errorf("%d twice: %v", status, err)
		}
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
