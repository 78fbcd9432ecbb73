package referrerstore

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"oras.land/oras-go/v2/content"
)

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
	f.wantCalls("neither", map[string]int{"HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1})
	wantBlobs(t, s, subject, "signature")
	f.wantCalls("remembered", map[string]int{"HEAD manifests": 1, "GET manifests": 1})
	f.clock.Advance(noReferrersAPIFor)
	wantBlobs(t, s, subject, "signature")
	f.wantCalls("asked anew", map[string]int{"HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1})

	// Another repository of the registry has the API, as behind the one host of a product that also caches other registries.
	other, desc := f.image("other", "v1")
	f.sign("other", desc, "other signature")
	f.on(isKind("app/referrers"), http.NotFound)
	wantBlobs(t, s, other, "other signature")
}

// The list under the tag is a client's: what it gets wrong is a fact, unlike what the API gets wrong.
func TestMalformedReferrersTag(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	for _, list := range []string{`{"manifests":"none"}`, `{"manifests":[{"digest":"sha256:12","size":1}]}`,
		fmt.Sprintf(`{"manifests":[{"digest":%q,"size":-1}]}`, desc.Digest)} {
		f.on(func(r *http.Request) bool { return r.URL.Path != "/v2/" }, func(w http.ResponseWriter, r *http.Request) {
			if isKind("referrers")(r) {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			fmt.Fprint(w, list)
		})
		_, err := f.store(nil).ListReferrers(t.Context(), subject, nil, "", &ocispecs.SubjectDescriptor{Descriptor: desc})
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", list, err)
		}
		wantError(t, err, "referrers tag sha256-")
	}
}

// A proxy that answers everything with a page of its own must not make signed images look unsigned.
func TestWebPage(t *testing.T) {
	for kind, match := range map[string]func(*http.Request) bool{
		"everything":    func(r *http.Request) bool { return r.URL.Path != "/v2/" },
		"all but HEAD":  func(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Path != "/v2/" },
		"all but blobs": func(r *http.Request) bool { return isKind("manifests")(r) || isKind("referrers")(r) },
	} {
		f := newFake(t)
		f.challenge = ""
		subject, desc := f.image("app", "v1")
		f.sign("app", desc, "signature")
		f.on(match, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Length", "6")
			fmt.Fprint(w, "<html>")
		})
		s := f.store(nil)
		for _, target := range []common.Reference{subject, {Path: subject.Path, Tag: "v1"}} {
			if blobs, err := verify(t.Context(), s, target); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %q, %v", kind, blobs, err)
			}
		}
		if list, err := s.ListReferrers(t.Context(), subject, nil, "", &ocispecs.SubjectDescriptor{Descriptor: desc}); err == nil {
			t.Errorf("%s: %d referrers, no error", kind, len(list.Referrers))
		}
	}
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

func TestCosignPanics(t *testing.T) {
	f := newFake(t)
	subject, _ := f.image("app", "v1")
	o := Options{OnRequest: func(_ string, status int) {
		if status == http.StatusNotFound { // of the signature's tag
			panic("boom")
		}
	}}
	_, err := f.storeWith(o, nil, "cosignEnabled", true).ListReferrers(t.Context(), subject, nil, "", nil)
	wantError(t, err, "panic: boom")
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
	// Repeats, on one page or several, count once, also for the limit.
	f.on(isKind("referrers"), func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("page") == "" {
			w.Header().Set("Link", "<"+path+`?page=2>; rel="next"`)
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		one := fmt.Sprintf(`{"mediaType":%q,"artifactType":"a/b","digest":%q,"size":1}`, ocispec.MediaTypeImageManifest, desc.Digest)
		fmt.Fprintf(w, `{"manifests":[%s]}`, strings.Repeat(one+",", maxReferrers)+one)
	})
	if n, err := list(); n != 1 || err != nil {
		t.Errorf("repeats: %d, %v", n, err)
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

// The list is asked for together with the subject. That there is no image yet must not pass, for the ttl, for an image without signatures.
func TestNoListIsKeptOfWhatIsNotThere(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	other, _ := f.image("app", "v1")
	s := f.store(nil, "cacheEnabled", true, "ttl", 60)
	subject, desc := f.image("elsewhere", "v2")
	subject.Path = other.Path // where it is pushed later
	byDigest := &ocispecs.SubjectDescriptor{Descriptor: ocispec.Descriptor{Digest: subject.Digest}}
	list := func() int {
		t.Helper()
		found, err := s.ListReferrers(t.Context(), subject, nil, "", byDigest)
		if err != nil {
			t.Fatal(err)
		}
		return len(found.Referrers)
	}
	if _, err := s.GetSubjectDescriptor(t.Context(), subject); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if n := list(); n != 0 {
		t.Fatalf("%d referrers", n)
	}
	image, err := content.FetchAll(t.Context(), f.repository("elsewhere"), desc)
	if err != nil {
		t.Fatal(err)
	}
	f.push("app", desc.MediaType, image)
	f.sign("app", desc, "signature")
	if n := list(); n != 1 {
		t.Errorf("%d referrers of an image that was pushed with a signature after it was missed", n)
	}

	unsigned, _ := f.image("app", "v3") // of which there is, and of which that is known
	if _, err := s.GetSubjectDescriptor(t.Context(), unsigned); err != nil {
		t.Fatal(err)
	}
	subject, byDigest.Digest = unsigned, unsigned.Digest
	f.counts()
	for range 2 {
		list()
	}
	f.wantCalls("an image without referrers", map[string]int{"GET referrers": 1})
}
