package depcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ratify-alibabacloud/ratify-alibabacloud/"

// rule says what the packages below a folder may import. Names end in "/..." when they mean all below.
type rule struct {
	folder string
	// own are the folders of this module that may be imported, besides the folder itself.
	own []string
	// never are modules and packages of others that must not be imported.
	never []string
}

// rules are the way of the data: request → verdict, and nothing calls back up. A package takes the first rule that fits.
var rules = []rule{
	{"internal/", nil, []string{"github.com/ratify-project/", "k8s.io/", "sigs.k8s.io/", "oras.land/"}},
	{"pkg/alibabacloud/", []string{"internal/"}, []string{"github.com/ratify-project/", "k8s.io/", "sigs.k8s.io/", "oras.land/"}},
	{"pkg/authprovider/k8secrets", []string{"internal/", "pkg/authprovider"}, nil},
	{"pkg/authprovider", []string{"internal/", "pkg/alibabacloud/"}, []string{"k8s.io/", "sigs.k8s.io/"}},
	{"pkg/keymanagementprovider/", []string{"internal/", "pkg/alibabacloud/"}, nil},
	{"pkg/referrerstore", []string{"internal/", "pkg/authprovider"}, nil},
	{"pkg/verifier/", []string{"internal/"}, []string{"k8s.io/", "sigs.k8s.io/"}},
	{"pkg/verification", []string{"internal/"}, []string{"k8s.io/", "sigs.k8s.io/", "oras.land/", "github.com/notaryproject/"}},
	{"pkg/gatekeeper", []string{"internal/", "pkg/verification"}, []string{"oras.land/", "github.com/notaryproject/"}},
	{"pkg/config", []string{"internal/", "pkg/verification"}, []string{"oras.land/", "github.com/notaryproject/"}},
	{"pkg/controller/servingcert", nil, []string{"github.com/ratify-project/"}},
	{"pkg/controller/manager", []string{"internal/", "pkg/controller", "pkg/verification"}, []string{"oras.land/", "github.com/notaryproject/"}},
	{"pkg/controller", []string{"internal/", "pkg/config", "pkg/verification"}, []string{"k8s.io/", "sigs.k8s.io/", "oras.land/", "github.com/notaryproject/"}},
	{"pkg/installation", nil, []string{"github.com/ratify-project/", "oras.land/", "github.com/notaryproject/"}},
	{"pkg/builtin", []string{"internal/", "pkg/"}, nil},
	{"plugins/notation", []string{"internal/", "pkg/alibabacloud/"}, []string{"github.com/ratify-project/", "k8s.io/", "sigs.k8s.io/"}},
	{"plugins/publish", nil, []string{"github.com/ratify-project/", "k8s.io/", "sigs.k8s.io/"}},
	{"plugins/internal/", []string{"internal/", "pkg/alibabacloud/rrsa", "pkg/authprovider", "pkg/referrerstore"}, []string{"sigs.k8s.io/", "oras.land/"}},
	{"plugins/referrerstore/", []string{"internal/", "plugins/internal/", "pkg/referrerstore"}, []string{"k8s.io/", "sigs.k8s.io/"}},
	{"plugins/verifier/", []string{"internal/", "plugins/internal/", "pkg/referrerstore", "pkg/keymanagementprovider/", "pkg/verifier/notation"},
		[]string{"k8s.io/", "sigs.k8s.io/"}},
	{"cmd/", []string{"internal/", "pkg/"}, nil},
	{"test/", []string{"internal/", "pkg/", "cmd/", "plugins/"}, nil},
}

// clashing are packages of Ratify whose import registers what this module registers itself, which ends the process.
var clashing = []string{
	"github.com/ratify-project/ratify/pkg/referrerstore/oras",
	"github.com/ratify-project/ratify/pkg/common/oras/authprovider/alibabacloud",
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/inline",
	"github.com/ratify-project/ratify/pkg/verifier/notation",
}

// heavy is a package of Ratify that the program is not to contain: it links a client of all of Kubernetes, 1 MB.
const heavy = "github.com/ratify-project/ratify/pkg/common/oras/authprovider"

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", module+"...").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

func TestDependencies(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		r, ok := ruleFor(name)
		if !ok {
			t.Errorf("%s: no rule says what it may import; add one", name)
			continue
		}
		for _, imported := range p.Imports {
			if problem := r.problem(imported); problem != "" {
				t.Errorf("%s imports %s: %s", name, imported, problem)
			}
		}
	}
}

func TestNothingUnwanted(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath == module+"cmd/ratify" && slices.Contains(p.Deps, heavy) {
			t.Errorf("%s depends on %s", p.ImportPath, heavy)
		}
		for _, dep := range p.Deps {
			for _, clash := range clashing {
				if dep == clash {
					t.Errorf("%s depends on %s, which registers what this module registers", p.ImportPath, clash)
				}
			}
		}
	}
}

func ruleFor(name string) (rule, bool) {
	for _, r := range rules {
		if strings.HasPrefix(name+"/", strings.TrimSuffix(r.folder, "/")+"/") {
			return r, true
		}
	}
	return rule{}, false
}

// problem says why the rule forbids an import, "" if it does not.
func (r rule) problem(imported string) string {
	if own, ok := strings.CutPrefix(imported, module); ok {
		for _, folder := range append(r.own, r.folder) {
			if strings.HasPrefix(own+"/", strings.TrimSuffix(folder, "/")+"/") {
				return ""
			}
		}
		return "not among " + strings.Join(r.own, ", ")
	}
	for _, prefix := range r.never {
		if strings.HasPrefix(imported, prefix) {
			return "its folder must not know " + prefix
		}
	}
	return ""
}

func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name, imported string
		allowed        bool
	}{
		{"pkg/alibabacloud/acr", module + "pkg/alibabacloud/rrsa", true},
		{"pkg/alibabacloud/acr", module + "pkg/referrerstore", false},
		{"pkg/alibabacloud/acr", "oras.land/oras-go/v2", false},
		{"pkg/verification", module + "pkg/gatekeeper", false},
		{"pkg/verifier/notation", module + "pkg/referrerstore", false},
		{"pkg/referrerstore", module + "pkg/authprovider", true},
	} {
		r, ok := ruleFor(tt.name)
		if got := ok && r.problem(tt.imported) == ""; got != tt.allowed {
			t.Errorf("%s importing %s: allowed %t, want %t", tt.name, tt.imported, got, tt.allowed)
		}
	}
}
