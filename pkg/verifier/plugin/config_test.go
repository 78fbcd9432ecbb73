package plugin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
)

func TestNew(t *testing.T) {
	v := newVerifier(t, config.VerifierConfig{
		"name": "verifier-sbom", "type": "prints", "artifactTypes": "application/spdx+json, text/x", "version": "2.0.0-alpha.1",
		"nestedReferences": "application/vnd.cncf.notary.signature", "disallowedLicenses": []string{"MPL"},
	}, Options{})
	if v.Name() != "verifier-sbom" || v.Type() != "prints" || v.version != "2.0.0-alpha.1" ||
		!slices.Equal(v.GetNestedReferences(), []string{"application/vnd.cncf.notary.signature"}) {
		t.Errorf("verifier %+v", v)
	}
	for kind, want := range map[string]bool{"application/spdx+json": true, "text/x": true, "text/y": false, "": false} {
		if got := v.CanVerify(t.Context(), ocispecs.ReferenceDescriptor{ArtifactType: kind}); got != want {
			t.Errorf("CanVerify(%q) = %t", kind, got)
		}
	}
	v = newVerifier(t, config.VerifierConfig{"name": "prints"}, Options{})
	if v.Type() != "prints" || v.version != "1.0.0" || v.GetNestedReferences() != nil || !v.CanVerify(t.Context(), ocispecs.ReferenceDescriptor{}) {
		t.Errorf("verifier %+v", v)
	}
}

func TestNewFails(t *testing.T) {
	dir := all.Folder(t)
	for _, tt := range []struct {
		cfg  config.VerifierConfig
		says string
	}{
		{config.VerifierConfig{}, "name is missing"},
		{config.VerifierConfig{"name": 1}, "name: 1 is not a text"},
		{config.VerifierConfig{"name": ""}, "name: "},
		{config.VerifierConfig{"name": "prints", "type": nil}, "type: "},
		{config.VerifierConfig{"name": "prints", "version": 1.0}, "version: 1 is not a text"},
		{config.VerifierConfig{"name": "prints", "artifactTypes": []any{"a", "b"}}, "artifactTypes: [a b] is not a text"},
		{config.VerifierConfig{"name": "prints", "artifactTypes": " ,"}, "artifactTypes: "},
		{config.VerifierConfig{"name": "prints", "nestedReferences": ""}, "nestedReferences: "},
		{config.VerifierConfig{"name": "prints", "type": "../prints"}, "type: \"../prints\" is not the name of a plugin"},
		{config.VerifierConfig{"name": "a", "type": "missing"}, "type: no such plugin: \"missing\"; looked for " + dir + "/missing"},
	} {
		v, err := New(tt.cfg, Options{Directories: []string{dir}})
		if v != nil || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("New(%v) = %v, %v; want an error that says %q", tt.cfg, v, err, tt.says)
		}
	}
	if _, err := New(config.VerifierConfig{"name": "missing"}, Options{Directories: []string{dir}}); !errors.Is(err, executable.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}
