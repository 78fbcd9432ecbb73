package manager

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/configpolicy"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"
	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/servingcert"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/apiserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// labelled is a store or verifier that has nothing but a name: the label of its parameters.
type labelled struct {
	referrerstore.ReferrerStore
	name string
}

func (l labelled) Name() string { return l.name }

type labelledVerifier struct {
	verifier.ReferenceVerifier
	name string
}

func (l labelledVerifier) Name() string { return l.name }

// vault is a key management provider with one certificate, which a test changes.
type vault struct {
	mu       sync.Mutex
	content  string
	err      error
	interval time.Duration
}

func (v *vault) set(content string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.content, v.err = content, err
}

func (v *vault) IsRefreshable() bool                   { return v.interval > 0 }
func (v *vault) DefaultRefreshInterval() time.Duration { return v.interval }

func (v *vault) GetCertificates(context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return map[keymanagementprovider.KMPMapKey][]*x509.Certificate{{Name: "c"}: {{Raw: []byte(v.content), NotAfter: time.Unix(4e9, 0)}}},
		keymanagementprovider.KeyManagementProviderStatus{"Certificates": []map[string]any{{"Name": v.content, "Versions": 2}}}, v.err
}

func (v *vault) GetKeys(context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey, keymanagementprovider.KeyManagementProviderStatus, error) {
	return nil, nil, nil
}

// newBuilder returns a Builder of such parts.
func newBuilder(v *vault) *controller.Builder {
	label := func(block map[string]any) (string, error) {
		name, ok := block["label"].(string)
		if !ok {
			return "", errors.New("label is missing")
		}
		return name, nil
	}
	return &controller.Builder{Factories: config.Factories{
		Stores: map[string]config.StoreFactory{"labelled": func(_ context.Context, c storeconfig.StorePluginConfig, _ config.StoreInput) (referrerstore.ReferrerStore, error) {
			name, err := label(c)
			return labelled{name: name}, err
		}},
		Verifiers: map[string]config.VerifierFactory{"labelled": func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
			name, err := label(c)
			if provider, ok := c["trust"].(string); ok && err == nil {
				_, err = in.Certificates(ctx, provider)
			}
			return labelledVerifier{name: name}, err
		}},
		KeyManagementProviders: map[string]config.KeyManagementProviderFactory{"vault": func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
			_, err := label(c)
			return v, err
		}},
	}}
}

// replica is a running Manager and the engine that it fills.
type replica struct {
	*Manager
	engine *verification.Engine
	loads  chan uint64
	stop   func()
}

// startReplica starts a Manager for a test.
func startReplica(t *testing.T, s *apiserver.Server, change func(*Options)) *replica {
	t.Helper()
	r := &replica{engine: verification.NewEngine(verification.Options{}), loads: make(chan uint64, 100)}
	o := Options{
		API:     s.Config(),
		Builder: newBuilder(&vault{content: "one"}),
		Load: func(s *verification.Snapshot) {
			r.engine.Load(s)
			r.loads <- s.Generation()
		},
		Metrics: metrics.New(),
		Log:     slog.New(slog.DiscardHandler),
		Names:   servingcert.Names{Namespace: "ratify-system", Service: "ratify"},
		Replica: t.Name(),
	}
	if change != nil {
		change(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.Manager = m
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the manager ended with %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// loaded waits for the next Snapshot.
func (r *replica) loaded(t *testing.T) {
	t.Helper()
	select {
	case <-r.loads:
	case <-time.After(30 * time.Second):
		t.Fatal("no Snapshot was loaded")
	}
}

// parts tells what a scope of the engine is made of.
func (r *replica) parts(namespace string) string {
	scope := r.engine.Snapshot().Scope(namespace)
	var all []string
	for _, s := range scope.Stores {
		all = append(all, s.Name())
	}
	for _, v := range scope.Verifiers {
		all = append(all, v.Name())
	}
	if scope.Policy != nil {
		all = append(all, "policy")
	}
	return strings.Join(all, " ")
}

// manifest returns a resource whose parameters are a label, or no usable ones if it is empty.
func manifest(kind, namespace, name, label string) string {
	spec := fmt.Sprintf(`{type: labelled, name: labelled, artifactTypes: "*", parameters: {label: %q}}`, label)
	switch {
	case strings.Contains(kind, "Policy"):
		spec = `{type: configPolicy, parameters: {artifactVerificationPolicies: {default: any}}}`
	case strings.Contains(kind, "KeyManagement"):
		spec = fmt.Sprintf(`{type: vault, parameters: {label: %q}}`, label)
	}
	if label == "" {
		spec = `{type: labelled, name: labelled, artifactTypes: "*", parameters: {}}`
	}
	return fmt.Sprintf("apiVersion: config.ratify.deislabs.io/v1beta1\nkind: %s\nmetadata: {namespace: %q, name: %s}\nspec: %s", kind, namespace, name, spec)
}

// cluster is a usable cluster.
var cluster = strings.Join([]string{
	manifest("Store", "", "store", "store"), manifest("Verifier", "", "verifier", "verifier"),
	manifest("Policy", "", "ratify-policy", "policy"), manifest("KeyManagementProvider", "", "kmp", "kmp"),
}, "\n---\n")

// statusOf returns the status of a resource, empty if it has none.
func statusOf(t *testing.T, s *apiserver.Server, kind, namespace, name string) status {
	t.Helper()
	for _, o := range s.Objects(kind) {
		if o.GetNamespace() == namespace && o.GetName() == name {
			return readStatus(&o)
		}
	}
	return status{}
}

// events returns the events about a resource, as "type reason: message".
func events(s *apiserver.Server, kind, name string) []string {
	var all []string
	for _, e := range s.Objects("Event") {
		about := e.Object["involvedObject"].(map[string]any)
		if about["kind"] == kind && about["name"] == name {
			all = append(all, fmt.Sprintf("%s %s: %s", e.Object["type"], e.Object["reason"], e.Object["message"]))
		}
	}
	return all
}
