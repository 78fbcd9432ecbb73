package referrerstore

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"oras.land/oras-go/v2/content"
)

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
