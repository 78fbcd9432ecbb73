package chart

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/chart/manifests"
	sigsyaml "sigs.k8s.io/yaml"
)

func TestGeneratedManifestsAreCurrent(t *testing.T) {
	generated, err := manifests.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if len(generated) != 9+9+4 {
		t.Errorf("%d files", len(generated))
	}
	kept := map[string]bool{}
	for _, folder := range []string{"config/crd", "config/rbac", "charts/ratify/crds"} {
		err := filepath.WalkDir(filepath.Join(manifests.Root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(manifests.Root, path)
			if err != nil {
				return err
			}
			kept[name] = true
			if !bytes.Equal(content, generated[name]) {
				t.Errorf("%s is not what is generated: run make manifests", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name := range generated {
		if !kept[name] {
			t.Errorf("%s is missing: run make manifests", name)
		}
	}
}

// readCRDs returns the CRDs in a folder by their names.
func readCRDs(t *testing.T, folder string) map[string]*apiext.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*apiext.CustomResourceDefinition)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split("\n"+string(content), "\n---") {
			if strings.TrimSpace(document) == "" {
				continue
			}
			var definition apiext.CustomResourceDefinition
			if err := sigsyaml.Unmarshal([]byte(document), &definition); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			all[definition.Name] = &definition
		}
	}
	return all
}

// What is stored, and what users see, stays when the CRDs of Ratify v1.4's chart are replaced by ours.
func TestCRDsHaveWhatUpstreamsHave(t *testing.T) {
	theirs, mine := readCRDs(t, upstream(t)+"/crds"), readCRDs(t, ours+"/crds")
	if len(theirs) != 9 {
		t.Fatalf("upstream has %d", len(theirs))
	}
	if want, got := slices.Sorted(maps.Keys(theirs)), slices.Sorted(maps.Keys(mine)); !slices.Equal(want, got) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for name, want := range theirs {
		got := mine[name]
		if !reflect.DeepEqual(want.Spec.Names, got.Spec.Names) || want.Spec.Scope != got.Spec.Scope || want.Spec.Group != got.Spec.Group {
			t.Errorf("%s: names or scope differ", name)
		}
		if len(want.Spec.Versions) != len(got.Spec.Versions) {
			t.Errorf("%s: %d versions, want %d", name, len(got.Spec.Versions), len(want.Spec.Versions))
			continue
		}
		for i, version := range want.Spec.Versions {
			other := got.Spec.Versions[i]
			if version.Name != other.Name || version.Served != other.Served || version.Storage != other.Storage || version.Deprecated != other.Deprecated {
				t.Errorf("%s: version %s differs", name, version.Name)
			}
			if !reflect.DeepEqual(version.AdditionalPrinterColumns, other.AdditionalPrinterColumns) || !reflect.DeepEqual(version.Subresources, other.Subresources) {
				t.Errorf("%s %s: columns or subresources differ", name, version.Name)
			}
			contains(t, name+" "+version.Name, *version.Schema.OpenAPIV3Schema, *other.Schema.OpenAPIV3Schema)
			status := other.Schema.OpenAPIV3Schema.Properties["status"]
			if _, ok := status.Properties["conditions"]; ok != other.Storage {
				t.Errorf("%s %s: conditions %v", name, version.Name, ok)
			}
		}
	}
}

// contains compares what counts of two schemas.
func contains(t *testing.T, at string, want, got apiext.JSONSchemaProps) {
	t.Helper()
	if want.Type != got.Type || want.Format != got.Format || !reflect.DeepEqual(want.Default, got.Default) || !reflect.DeepEqual(want.Required, got.Required) ||
		!reflect.DeepEqual(want.XPreserveUnknownFields, got.XPreserveUnknownFields) {
		t.Errorf("%s: type, format, default, required fields or what is preserved differ", at)
	}
	for field, inner := range want.Properties {
		other, ok := got.Properties[field]
		if !ok {
			t.Errorf("%s.%s is missing", at, field)
			continue
		}
		contains(t, at+"."+field, inner, other)
	}
}
