package referrerstore

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
)

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

// Whoever may push to a repository can list the parts of others' signatures in a manifest of their own, with another size or as what
// they are not. That must not spoil those signatures.
func TestForeignManifestSpoilsNothing(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	manifest, signature := f.sign("app", desc, "signature")
	s := f.store(nil)
	for _, size := range []int64{1, maxBlob + 1} {
		hostile := referrerRaw(f, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x","digest":%q,"size":2},"layers":[{"mediaType":"x","digest":%q,"size":%d}]}`,
			ocispec.MediaTypeImageManifest, digest.FromString("{}"), signature.Digest, size))
		wantManifest(t, s, subject, manifest)
		if _, err := s.GetReferenceManifest(t.Context(), subject, hostile); err != nil {
			t.Fatal(err)
		}
		if blob, err := s.GetBlobContent(t.Context(), subject, signature.Digest); err != nil || string(blob) != "signature" {
			t.Errorf("declared with size %d by another manifest: %q, %v", size, blob, err)
		}
		s = f.store(nil)
	}

	// The manifest, asked for as a blob, which the registry does not have under that name, while it is asked for as what it is.
	reached, release := make(chan struct{}), make(chan struct{})
	f.on(isKind("blobs"), func(w http.ResponseWriter, r *http.Request) {
		close(reached)
		<-release
		http.NotFound(w, r)
	})
	failed := make(chan error)
	go func() {
		_, err := s.GetBlobContent(t.Context(), subject, manifest.Digest)
		failed <- err
	}()
	<-reached
	if _, err := s.GetReferenceManifest(t.Context(), subject, ocispecs.ReferenceDescriptor{Descriptor: manifest}); err != nil {
		t.Error(err)
	}
	close(release)
	if err := <-failed; !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

// What a descriptor says of content whose digest is right is a fact, also when it is a lie. A delivery that is cut short or wrong is none.
func TestLyingDescriptor(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	manifest, _ := f.sign("app", desc, "signature")
	index := f.push("app", ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"manifests":[]}`))
	lie := func(change func(*ocispec.Descriptor)) ocispecs.ReferenceDescriptor {
		d := manifest
		change(&d)
		return ocispecs.ReferenceDescriptor{Descriptor: d}
	}
	for name, test := range map[string]struct {
		desc ocispecs.ReferenceDescriptor
		want string
	}{
		"shorter":            {lie(func(d *ocispec.Descriptor) { d.Size-- }), "its descriptor says"},
		"longer":             {lie(func(d *ocispec.Descriptor) { d.Size++ }), "its descriptor says"},
		"empty":              {lie(func(d *ocispec.Descriptor) { d.Size = 0 }), "its descriptor says"},
		"another media type": {lie(func(d *ocispec.Descriptor) { d.MediaType = "application/vnd.example" }), "media type"},
		"Docker's type":      {lie(func(d *ocispec.Descriptor) { d.MediaType = dockerManifest }), "it says that it is"},
		"an index": {lie(func(d *ocispec.Descriptor) {
			d.MediaType, d.Digest = index.MediaType, index.Digest
			d.Size = index.Size
		}), "media type"},
	} {
		for _, honestFirst := range []bool{true, false} {
			f.set(func() { f.intercept = nil })
			s := f.store(nil)
			if honestFirst {
				wantManifest(t, s, subject, manifest)
			}
			_, err := s.GetReferenceManifest(t.Context(), subject, test.desc)
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
			wantError(t, err, test.want)
			wantManifest(t, s, subject, manifest)
		}
		for fault, handler := range map[string]http.HandlerFunc{
			"cut short": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				w.Header().Set("Content-Length", fmt.Sprint(manifest.Size))
				fmt.Fprint(w, "{")
			},
			"other content": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				fmt.Fprint(w, "{}")
			},
		} {
			f.on(isKind("manifests"), handler)
			if _, err := f.store(nil).GetReferenceManifest(t.Context(), subject, test.desc); err == nil || errors.Is(err, ErrMalformed) {
				t.Errorf("%s, %s: %v", name, fault, err)
			}
		}
	}
}

// A manifest that lies about the size of its blob is refused, and nobody else is for it.
func TestLyingManifest(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	manifest, signature := f.sign("app", desc, "signature")
	liar := f.push("app", ocispec.MediaTypeImageManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x","digest":%q,"size":2},"layers":[{"mediaType":"x","digest":%q,"size":1}]}`,
		ocispec.MediaTypeImageManifest, digest.FromString("{}"), signature.Digest))
	s := f.store(nil)
	for range 2 { // from the registry, and from memory
		wantManifest(t, s, subject, liar)
		_, err := s.GetBlobContent(t.Context(), subject, signature.Digest)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("the liar's blob: %v", err)
		}
		wantError(t, err, "9 bytes", "declares 1")
	}
	wantManifest(t, s, subject, manifest)
	if blob, err := s.GetBlobContent(t.Context(), subject, signature.Digest); err != nil || string(blob) != "signature" {
		t.Errorf("the honest one's: %q, %v", blob, err)
	}
}

// Who waits for the answer that somebody with a lying descriptor has asked for is not failed by it.
func TestLieOfAnotherCaller(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	manifest, _ := f.sign("app", desc, "signature")
	lie := manifest
	lie.Size = 1
	reached, release := make(chan struct{}), make(chan struct{})
	f.on(isKind("manifests"), func(w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{} // a second request would hang here
		<-release
		f.forward(w, r)
	})
	s := f.store(nil)
	lied := make(chan error)
	go func() {
		_, err := s.GetReferenceManifest(t.Context(), subject, ocispecs.ReferenceDescriptor{Descriptor: lie})
		lied <- err
	}()
	<-reached
	honest := make(chan error)
	go func() {
		_, err := s.GetReferenceManifest(t.Context(), subject, ocispecs.ReferenceDescriptor{Descriptor: manifest})
		honest <- err
	}()
	close(release)
	if err := <-lied; !errors.Is(err, ErrMalformed) {
		t.Errorf("the liar: %v", err)
	}
	if err := <-honest; err != nil {
		t.Errorf("the honest one: %v", err)
	}
}

func wantManifest(t *testing.T, s *Store, subject common.Reference, desc ocispec.Descriptor) {
	t.Helper()
	if _, err := s.GetReferenceManifest(t.Context(), subject, ocispecs.ReferenceDescriptor{Descriptor: desc}); err != nil {
		t.Fatal(err)
	}
}
