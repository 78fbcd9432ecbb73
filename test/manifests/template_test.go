package manifests

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
	"sigs.k8s.io/yaml"
)

const (
	byName      = "../../library/default/template.yaml"
	byNamespace = "../../library/multi-tenancy-validation/template.yaml"
)

// provider is what external_data answers as, and what it was asked for.
type provider struct {
	answer string // JSON; none is an error of the function
	asked  []string
	calls  int
}

// violations evaluates a template as Gatekeeper does: the messages, sorted.
func (p *provider) violations(t *testing.T, file, review string) []string {
	t.Helper()
	var template struct {
		Spec struct {
			Targets []struct{ Rego string }
		}
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &template); err != nil || len(template.Spec.Targets) != 1 {
		t.Fatal(err, template)
	}
	var input any
	if err := json.Unmarshal([]byte(review), &input); err != nil {
		t.Fatal(err)
	}
	externalData := rego.Function1(
		&rego.Function{Name: "external_data", Decl: types.NewFunction(types.Args(types.A), types.A)},
		func(_ rego.BuiltinContext, request *ast.Term) (*ast.Term, error) {
			p.calls++
			var asked struct {
				Provider string   `json:"provider"`
				Keys     []string `json:"keys"`
			}
			if err := ast.As(request.Value, &asked); err != nil {
				return nil, err
			}
			if asked.Provider != "ratify-provider" {
				t.Errorf("asked provider %q", asked.Provider)
			}
			p.asked = asked.Keys
			if p.answer == "" {
				return nil, errors.New("no answer")
			}
			value, err := ast.ValueFromReader(strings.NewReader(p.answer))
			return ast.NewTerm(value), err
		})
	result, err := rego.New(
		rego.SetRegoVersion(ast.RegoV0), // what Gatekeeper takes the field rego for
		rego.Module(file, template.Spec.Targets[0].Rego),
		rego.Query("data.ratifyverification.violation"),
		rego.Input(input),
		externalData,
	).Eval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	if len(result) != 1 || len(result[0].Expressions) != 1 {
		t.Fatalf("no result: %v", result)
	}
	for _, violation := range result[0].Expressions[0].Value.([]any) {
		messages = append(messages, violation.(map[string]any)["msg"].(string))
	}
	slices.Sort(messages)
	return messages
}

const onePod = `{"review": {"object": {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"containers": [{"name": "c", "image": "r.io/a:1"}]}}}}`

func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		want   string // of the only message; "" admits
	}{
		"verified": {`{"responses": [["KEY", {"isSuccess": true}]], "errors": [], "system_error": "", "status_code": 200}`, ""},
		"lists that are null, as some of Gatekeeper's errors have": {
			`{"responses": [["KEY", {"isSuccess": true}]], "errors": null, "system_error": ""}`, ""},
		"refused, and why": {
			`{"responses": [["KEY", {"isSuccess": false, "verifierReports": [
				{"isSuccess": false, "message": "Verification failed", "errorReason": "expired", "remediation": "sign again"}, {"isSuccess": true, "message": "fine"}]}]]}`,
			"image r.io/a:1 is not admitted: Verification failed: expired: sign again"},
		"refused by nested reports or none":    {`{"responses": [["KEY", {"isSuccess": false}]]}`, "image r.io/a:1 is not admitted: it does not verify"},
		"isSuccess is missing":                 {`{"responses": [["KEY", {"version": "0.2.0"}]]}`, "r.io/a:1 is not admitted"},
		"isSuccess is a string":                {`{"responses": [["KEY", {"isSuccess": "true"}]]}`, "r.io/a:1 is not admitted"},
		"isSuccess is null":                    {`{"responses": [["KEY", {"isSuccess": null}]]}`, "r.io/a:1 is not admitted"},
		"isSuccess is a number":                {`{"responses": [["KEY", {"isSuccess": 1}]]}`, "r.io/a:1 is not admitted"},
		"the value is null":                    {`{"responses": [["KEY", null]]}`, "r.io/a:1 is not admitted"},
		"the value is true":                    {`{"responses": [["KEY", true]]}`, "r.io/a:1 is not admitted"},
		"the value is a string":                {`{"responses": [["KEY", "{\"isSuccess\": true}"]]}`, "r.io/a:1 is not admitted"},
		"the value is missing":                 {`{"responses": [["KEY"]]}`, "r.io/a:1 is not admitted"},
		"reports of a strange kind":            {`{"responses": [["KEY", {"isSuccess": false, "verifierReports": [7, {"message": 3}]}]]}`, "it does not verify"},
		"two answers that differ":              {`{"responses": [["KEY", {"isSuccess": true}], ["KEY", {"isSuccess": false}]]}`, "it does not verify"},
		"an error about the image":             {`{"responses": [], "errors": [["KEY", "no such image"]]}`, "image r.io/a:1 is not admitted: no such image"},
		"an error of a strange kind":           {`{"errors": [["KEY", {"code": 7}]]}`, "r.io/a:1 is not admitted"},
		"an error without a text":              {`{"errors": [["KEY"]]}`, "an error without a text"},
		"an error besides a success":           {`{"responses": [["KEY", {"isSuccess": true}]], "errors": [["KEY", "but"]]}`, "image r.io/a:1 is not admitted: but"},
		"an error about something else":        {`{"responses": [["KEY", {"isSuccess": true}]], "errors": [["r.io/b:1", "but"]]}`, `Ratify reports an error: ["r.io/b:1", "but"]`},
		"an error about nothing":               {`{"responses": [["KEY", {"isSuccess": true}]], "errors": [[]]}`, "Ratify reports an error: []"},
		"an error that is a string":            {`{"responses": [["KEY", {"isSuccess": true}]], "errors": ["but"]}`, "Ratify reports an error: but"},
		"an error that is an object":           {`{"responses": [["KEY", {"isSuccess": true}]], "errors": [{"key": "KEY"}]}`, "Ratify reports an error: {"},
		"an error that is false":               {`{"responses": [["KEY", {"isSuccess": true}]], "errors": [false]}`, "Ratify reports an error: false"},
		"a system error that is false":         {`{"responses": [["KEY", {"isSuccess": true}]], "system_error": false}`, "Ratify could not be asked, or not find out: false"},
		"a system error":                       {`{"responses": [], "errors": [], "system_error": "dial tcp: refused"}`, "image r.io/a:1 is not admitted: Ratify could not be asked, or not find out: dial tcp: refused; Ratify gave no answer about it"},
		"a system error besides a success":     {`{"responses": [["KEY", {"isSuccess": true}]], "system_error": "half"}`, "Ratify could not be asked, or not find out: half"},
		"a system error besides a refusal":     {`{"responses": [["KEY", {"isSuccess": false}]], "system_error": "half"}`, "image r.io/a:1 is not admitted: it does not verify"},
		"nothing":                              {`{"responses": [], "errors": []}`, "image r.io/a:1 is not admitted: Ratify gave no answer about it"},
		"an empty answer":                      {`{}`, "Ratify gave no answer about it"},
		"another kind of answer":               {`[]`, "Ratify gave no answer about it"},
		"null":                                 {`null`, "Ratify gave no answer about it"},
		"the function fails":                   {``, "Ratify gave no answer about it"},
		"an answer about another image":        {`{"responses": [["r.io/b:1", {"isSuccess": true}]]}`, "Ratify gave no answer about it"},
		"responses as an object":               {`{"responses": {"KEY": {"isSuccess": true}}}`, "Ratify gave no answer about it"},
		"the answer is about all, without key": {`{"responses": [{"isSuccess": true}]}`, "Ratify gave no answer about it"},
	} {
		t.Run(name, func(t *testing.T) {
			for file, key := range map[string]string{byName: "r.io/a:1", byNamespace: "[shop]r.io/a:1"} {
				p := &provider{answer: strings.ReplaceAll(c.answer, "KEY", key)}
				got := p.violations(t, file, onePod)
				switch {
				case c.want == "" && len(got) > 0:
					t.Errorf("%s: not admitted: %q", file, got)
				case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
					t.Errorf("%s: got %q, want %q", file, got, c.want)
				}
				if !slices.Equal(p.asked, []string{key}) || p.calls != 1 {
					t.Errorf("%s: asked %d times, for %q", file, p.calls, p.asked)
				}
			}
		})
	}
}

func TestContainers(t *testing.T) {
	review := `{"review": {"namespace": "shop", "object": {"metadata": {"generateName": "p-"}, "spec": {
		"containers": [{"name": "a", "image": "r.io/a:1"}, {"name": "twice", "image": "r.io/a:1"}],
		"initContainers": [{"name": "b", "image": "r.io/b:1"}],
		"ephemeralContainers": [{"name": "c", "image": "r.io/c:1"}]}}}}`
	for file, prefix := range map[string]string{byName: "", byNamespace: "[shop]"} {
		for _, bad := range []string{"a", "b", "c"} {
			var responses []string
			for _, image := range []string{"a", "b", "c"} {
				if image != bad {
					responses = append(responses, `["`+prefix+`r.io/`+image+`:1", {"isSuccess": true}]`)
				}
			}
			p := &provider{answer: `{"responses": [` + strings.Join(responses, ",") + `], "errors": []}`}
			got := p.violations(t, file, review)
			if len(got) != 1 || !strings.Contains(got[0], "image r.io/"+bad+":1 is not admitted") {
				t.Errorf("%s: without an answer about %s: %q", file, bad, got)
			}
			slices.Sort(p.asked)
			if want := []string{prefix + "r.io/a:1", prefix + "r.io/b:1", prefix + "r.io/c:1"}; !slices.Equal(p.asked, want) {
				t.Errorf("%s: asked for %q, want each image once: %q", file, p.asked, want)
			}
		}
	}
}

func TestStrangePods(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"no containers": {`{}`, ""},
		"no image":      {`{"containers": [{"name": "c"}]}`, "spec.containers[0] has no image"},
		"neither":       {`{"initContainers": [{}]}`, "spec.initContainers[0] has no image"},
		"false":         {`{"containers": [{"name": "c", "image": false}]}`, "spec.containers[0] has no image"},
		"no object":     {`{"containers": [7]}`, "spec.containers[0] has no image"},
		"null":          {`{"containers": [{"name": "c", "image": null}]}`, "image null is not admitted"},
		"a number":      {`{"containers": [{"name": "c", "image": 7}]}`, "image 7 is not admitted"},
		"empty":         {`{"containers": [{"name": "c", "image": ""}]}`, "is not admitted"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{byName, byNamespace} {
				p := &provider{answer: `{"responses": [], "errors": []}`}
				got := p.violations(t, file, `{"review": {"object": {"metadata": {"namespace": "shop"}, "spec": `+c.spec+`}}}`)
				if c.want == "" && len(got) > 0 || c.want != "" && (len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), c.want)) {
					t.Errorf("%s: got %q, want %q", file, got, c.want)
				}
			}
		})
	}
	t.Run("no namespace", func(t *testing.T) {
		p := &provider{answer: `{"responses": [["r.io/a:1", {"isSuccess": true}]]}`}
		if got := p.violations(t, byNamespace, `{"review": {"object": {"spec": {"containers": [{"image": "r.io/a:1"}]}}}}`); len(got) != 1 {
			t.Errorf("got %q", got)
		}
	})
}

// A pod that runs has to stay changeable, and deletable, whatever has become of its signatures: else no Job could take its finalizer from its pod.
func TestUpdates(t *testing.T) {
	const old = `{"metadata": {"namespace": "shop"}, "spec": {"containers": [{"name": "c", "image": "r.io/a:1"}], "initContainers": [{"name": "i", "image": "r.io/i:1"}]}}`
	for name, c := range map[string]struct {
		operation, object, old string
		want                   []string // images that are asked about
	}{
		"nothing changes":         {"UPDATE", old, old, nil},
		"another image":           {"UPDATE", strings.Replace(old, "r.io/a:1", "r.io/b:1", 1), old, []string{"r.io/b:1"}},
		"an image of another":     {"UPDATE", strings.Replace(old, "r.io/a:1", "r.io/i:1", 1), old, []string{"r.io/i:1"}},
		"another container":       {"UPDATE", strings.Replace(old, `"c"`, `"d"`, 1), old, []string{"r.io/a:1"}},
		"an ephemeral container":  {"UPDATE", strings.Replace(old, `"spec": {`, `"spec": {"ephemeralContainers": [{"name": "e", "image": "r.io/a:1"}], `, 1), old, []string{"r.io/a:1"}},
		"nothing is known before": {"UPDATE", old, "null", []string{"r.io/a:1", "r.io/i:1"}},
		"a new pod":               {"CREATE", old, old, []string{"r.io/a:1", "r.io/i:1"}},
		"an operation of no name": {"", old, old, []string{"r.io/a:1", "r.io/i:1"}},
		"deleted":                 {"DELETE", old, old, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for file, prefix := range map[string]string{byName: "", byNamespace: "[shop]"} {
				p := &provider{answer: `{"responses": [], "errors": [], "system_error": "down"}`}
				got := p.violations(t, file, `{"review": {"operation": "`+c.operation+`", "namespace": "shop", "object": `+c.object+`, "oldObject": `+c.old+`}}`)
				var want []string
				for _, image := range c.want {
					want = append(want, prefix+image)
				}
				slices.Sort(p.asked)
				if !slices.Equal(p.asked, want) || len(got) != len(want) {
					t.Errorf("%s: asked for %q, want %q; violations %q", file, p.asked, want, got)
				}
			}
		})
	}
}

func TestConstraintsMatchTheirTemplates(t *testing.T) {
	for _, file := range []string{byName, byNamespace} {
		var template, constraint struct {
			Kind string
			Spec struct {
				CRD struct {
					Spec struct {
						Names struct{ Kind string }
					}
				}
			}
		}
		for path, to := range map[string]any{file: &template, strings.Replace(file, "template", "samples/constraint", 1): &constraint} {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(content, to); err != nil {
				t.Fatal(err)
			}
		}
		if kind := template.Spec.CRD.Spec.Names.Kind; kind != "RatifyVerification" || constraint.Kind != kind {
			t.Errorf("%s defines %s, its constraint is a %s", file, kind, constraint.Kind)
		}
	}
}
