package acr

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// referrersRegistry is go-containerregistry's registry, mended where it falls short of the referrers API of the OCI
// distribution specification 1.1: clients miss signatures otherwise.
type referrersRegistry struct {
	inner http.Handler
}

func newReferrersRegistry() backend {
	inner := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true))
	return closer{&referrersRegistry{inner: inner}}
}

func (g *referrersRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t, _ := parseTarget(r.URL.Path)
	switch {
	case t.kind == "referrers" && r.Method == http.MethodGet:
		g.referrers(t, w, r)
	case t.kind == "manifests" && r.Method == http.MethodPut:
		g.putManifest(w, r)
	default:
		g.inner.ServeHTTP(w, r)
	}
}

// referrers lists the manifests whose subject is the target. It differs from the registry's own answer in that
//   - a repository or digest that nothing is known of has an empty list instead of status 404, which would mean that there is
//     no referrers API (clients probe with a digest of zeros);
//   - the descriptors carry the manifest's own artifactType, or else its config's media type, and its annotations;
//   - the list has an order, and can be filtered by artifactType.
func (g *referrersRegistry) referrers(t target, w http.ResponseWriter, r *http.Request) {
	recorder := httptest.NewRecorder()
	g.inner.ServeHTTP(recorder, r)
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	switch recorder.Code {
	case http.StatusOK:
		var own ocispec.Index
		if err := json.Unmarshal(recorder.Body.Bytes(), &own); err != nil {
			registryError(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
			return
		}
		index.Manifests = append(index.Manifests, own.Manifests...)
	case http.StatusNotFound:
	default:
		relay(w, recorder)
		return
	}
	for i := range index.Manifests {
		g.describe(t.repository, &index.Manifests[i], r)
	}
	slices.SortFunc(index.Manifests, func(a, b ocispec.Descriptor) int { return cmp.Compare(a.Digest, b.Digest) })
	if wanted := r.URL.Query().Get("artifactType"); wanted != "" {
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.ArtifactType != wanted })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_ = json.NewEncoder(w).Encode(index)
}

// describe completes a descriptor from its manifest.
func (g *referrersRegistry) describe(repository string, d *ocispec.Descriptor, r *http.Request) {
	get := r.Clone(r.Context())
	get.URL.Path, get.URL.RawQuery = "/v2/"+repository+"/manifests/"+d.Digest.String(), ""
	recorder := httptest.NewRecorder()
	g.inner.ServeHTTP(recorder, get)
	var manifest ocispec.Manifest
	// The registry has parsed the manifest before: this is how it found the subject.
	_ = json.Unmarshal(recorder.Body.Bytes(), &manifest)
	d.ArtifactType = cmp.Or(manifest.ArtifactType, manifest.Config.MediaType)
	d.Annotations = manifest.Annotations
}

// putManifest stores a manifest and, if it has a subject, confirms with the header OCI-Subject that it is a referrer now.
// Without the header clients fall back to the referrers tag schema.
func (g *referrersRegistry) putManifest(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		registryError(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	recorder := httptest.NewRecorder()
	g.inner.ServeHTTP(recorder, r)
	var manifest struct {
		Subject *ocispec.Descriptor `json:"subject"`
	}
	if recorder.Code == http.StatusCreated && json.Unmarshal(body, &manifest) == nil && manifest.Subject != nil {
		w.Header().Set("OCI-Subject", manifest.Subject.Digest.String())
	}
	relay(w, recorder)
}

// relay sends on what was recorded. Content-Length is left to the server.
func relay(w http.ResponseWriter, recorder *httptest.ResponseRecorder) {
	header := recorder.Result().Header
	maps.DeleteFunc(header, func(name string, _ []string) bool { return strings.EqualFold(name, "Content-Length") })
	maps.Copy(w.Header(), header)
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}
