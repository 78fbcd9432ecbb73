package chart

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

const group = "config.ratify.deislabs.io"

var update = flag.Bool("update", false, "write testdata")

// checker checks objects as the API server does: nothing is unknown to the CRD, and nothing of another type.
type checker struct {
	structural *schema.Structural
	validator  validation.SchemaValidator
}

func checkers(t *testing.T) map[string]checker {
	t.Helper()
	all := make(map[string]checker)
	for _, definition := range readCRDs(t, ours+"/crds") {
		for _, version := range definition.Spec.Versions {
			if !version.Storage {
				continue
			}
			var internal apiextensions.CustomResourceValidation
			if err := apiext.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(version.Schema, &internal, nil); err != nil {
				t.Fatal(err)
			}
			structural, err := schema.NewStructural(internal.OpenAPIV3Schema)
			if err != nil {
				t.Fatalf("%s: %v", definition.Name, err)
			}
			validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
			if err != nil {
				t.Fatal(err)
			}
			all[definition.Spec.Names.Kind] = checker{structural, validator}
		}
	}
	return all
}

func (c checker) check(t *testing.T, about string, o *unstructured.Unstructured) {
	t.Helper()
	for _, err := range validation.ValidateCustomResource(nil, o.Object, c.validator) {
		t.Errorf("%s: %v", about, err)
	}
	unknown := pruning.PruneWithOptions(o.DeepCopy().Object, c.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		t.Errorf("%s: the CRD does not know %q", about, unknown)
	}
}

func TestSamplesFitTheCRDs(t *testing.T) {
	all := checkers(t)
	checked := 0
	err := filepath.WalkDir("../../config/samples", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			var o unstructured.Unstructured
			if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			one, ok := all[o.GetKind()]
			if !ok || o.GetAPIVersion() != group+"/v1beta1" {
				t.Errorf("%s: %s %s", path, o.GetAPIVersion(), o.GetKind())
				continue
			}
			one.check(t, path, &o)
			checked++
		}
	})
	if err != nil || checked < 10 {
		t.Fatal(err, checked)
	}
}

// The rendered resources, but those that need a cloud, are kept in testdata, from which test/manifests makes stores, verifiers and policies with the product's own code.
func TestRenderedResources(t *testing.T) {
	all := checkers(t)
	for name, values := range map[string]string{"defaults": "", "guide": guide, "signatures": signatures, "everything": everything} {
		var text strings.Builder
		found := mustRender(t, values)
		for _, key := range found.names() {
			o := found[key]
			if !strings.HasPrefix(o.GetAPIVersion(), group+"/") {
				continue
			}
			all[o.GetKind()].check(t, name+": "+key, o)
			o.SetLabels(nil)
			content, err := sigsyaml.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			text.WriteString("---\n" + string(content))
		}
		if name == "everything" {
			continue
		}
		golden := filepath.Join("testdata", name+".yaml")
		if *update {
			if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != text.String() {
			t.Errorf("%s: the rendered resources are not those of %s; if that is meant, run go test -update", name, golden)
		}
	}
}
