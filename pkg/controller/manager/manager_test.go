package manager

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/apiserver"
)

// Each kind is added, broken, mended and deleted, over a real socket.
func TestKinds(t *testing.T) {
	for _, tt := range []struct {
		kind, namespace, name string
		with                  string // the parts with it
		without               string
		broken                string // the parts while it is broken: the last usable ones but for key material
		reason                string
	}{
		{"Store", "", "store2", "store new verifier policy", "store verifier policy", "store new verifier policy", reasonLastUsable},
		{"Verifier", "", "verifier2", "store verifier new policy", "store verifier policy", "store verifier new policy", reasonLastUsable},
		{"Policy", "", "ratify-policy", "store verifier policy", "store verifier", "store verifier policy", reasonLastUsable},
		{"KeyManagementProvider", "", "kmp2", "store verifier policy", "store verifier policy", "store verifier policy", reasonNotUsable},
		{"NamespacedStore", "team", "store", "new verifier policy", "store verifier policy", "new verifier policy", reasonLastUsable},
		{"NamespacedVerifier", "team", "verifier", "store new policy", "store verifier policy", "store new policy", reasonLastUsable},
		{"NamespacedPolicy", "team", "ratify-policy", "store verifier policy", "store verifier policy", "store verifier policy", reasonLastUsable},
		{"NamespacedKeyManagementProvider", "team", "kmp", "store verifier policy", "store verifier policy", "store verifier policy", reasonNotUsable},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			t.Parallel()
			s := apiserver.Start(t, apiserver.Options{})
			s.Apply(t, cluster)
			r := startReplica(t, s, nil)
			r.loaded(t)
			if err := r.Ready(); err != nil {
				t.Fatal(err)
			}
			status := func() status { return statusOf(t, s, tt.kind, tt.namespace, tt.name) }

			if tt.name != "ratify-policy" || tt.namespace != "" {
				s.Apply(t, manifest(tt.kind, tt.namespace, tt.name, "new"))
				r.loaded(t)
			}
			s.Wait(t, "the status of the new one", func() bool { return condition(status(), conditionReady).Status == "True" })
			if got := status(); !got.IsSuccess || got.Error != "" || condition(got, conditionReady).ObservedGeneration != 1 {
				t.Errorf("status %+v", got)
			}
			if got := r.parts(tt.namespace); got != tt.with {
				t.Errorf("with it: %s, want %s", got, tt.with)
			}

			s.Apply(t, manifest(tt.kind, tt.namespace, tt.name, ""))
			r.loaded(t)
			s.Wait(t, "the status of the broken one", func() bool { return condition(status(), conditionReady).Status == "False" })
			got := status()
			ready := condition(got, conditionReady)
			if got.IsSuccess || got.Error == "" || got.BriefError == "" || ready.Reason != tt.reason || ready.ObservedGeneration != 2 {
				t.Errorf("status %+v", got)
			}
			if parts := r.parts(tt.namespace); parts != tt.broken {
				t.Errorf("broken: %s, want %s", parts, tt.broken)
			}

			s.Apply(t, manifest(tt.kind, tt.namespace, tt.name, "new"))
			r.loaded(t)
			s.Wait(t, "both events", func() bool { return len(events(s, tt.kind, tt.name)) == 2 })
			if got := events(s, tt.kind, tt.name); got[0] != "Warning "+tt.reason+": "+ready.Message || got[1] != "Normal InUse: it can be used again" {
				t.Errorf("events: %q", got)
			}
			if got := status(); !got.IsSuccess || got.Error != "" || got.BriefError != "" {
				t.Errorf("status %+v", got)
			}

			s.Delete(t, tt.kind, tt.namespace, tt.name)
			r.loaded(t)
			if got := r.parts(tt.namespace); got != tt.without {
				t.Errorf("without it: %s, want %s", got, tt.without)
			}
			if len(r.loads) > 0 {
				t.Error("there were Snapshots that nothing asked for")
			}
		})
	}
}

// What a cluster without any resource lacks is the engine's to say.
func TestEmptyCluster(t *testing.T) {
	t.Parallel()
	r := startReplica(t, apiserver.Start(t, apiserver.Options{}), nil)
	r.loaded(t)
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
	if err := r.engine.Ready(); err == nil || !strings.Contains(err.Error(), "Store") {
		t.Errorf("the engine is ready: %v", err)
	}
}

// A cluster whose namespaces have all that there is gets ready.
func TestNamespacesOnly(t *testing.T) {
	t.Parallel()
	s := apiserver.Start(t, apiserver.Options{})
	r := startReplica(t, s, nil)
	r.loaded(t)
	if r.engine.Ready() == nil {
		t.Error("ready without any resource")
	}
	s.Apply(t, strings.Join([]string{
		manifest("NamespacedStore", "team", "store", "store"), manifest("NamespacedVerifier", "team", "verifier", "verifier"),
		manifest("NamespacedPolicy", "team", "ratify-policy", "policy"),
	}, "\n---\n"))
	s.Wait(t, "the engine", func() bool { return r.engine.Ready() == nil })
}

// Many changes at once make few Snapshots.
func TestBurst(t *testing.T) {
	t.Parallel()
	s := apiserver.Start(t, apiserver.Options{})
	s.Apply(t, cluster)
	r := startReplica(t, s, nil)
	r.loaded(t)
	begin := time.Now()
	for range 200 {
		s.Apply(t, manifest("Store", "", "store", "new")+"\n---\n"+manifest("Store", "", "store", "newer"))
	}
	s.Apply(t, manifest("Verifier", "", "verifier", "last"))
	snapshots := 0
	for r.parts("") != "newer last policy" {
		r.loaded(t)
		snapshots++
	}
	if took := time.Since(begin); snapshots > int(took/settle)+5 {
		t.Errorf("400 changes made %d Snapshots in %s", snapshots, took)
	}
}

// The API server is away at the start, later, and while something changes.
func TestOutage(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	nobody := apiserver.Start(t, apiserver.Options{})
	r := startReplica(t, nobody, func(o *Options) { o.API.Host = "http://" + address })
	if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "API server") {
		t.Errorf("ready without an API server: %v", err)
	}
	s := apiserver.Start(t, apiserver.Options{Address: address})
	s.Apply(t, cluster)
	r.loaded(t)

	s.Away(true)
	s.Apply(t, manifest("Store", "", "store", "new"))
	if r.Ready() != nil || r.engine.Ready() != nil || r.parts("") != "store verifier policy" {
		t.Errorf("an outage ended the service: %v, %v, %s", r.Ready(), r.engine.Ready(), r.parts(""))
	}
	s.Away(false)
	r.loaded(t)
	if got := r.parts(""); got != "new verifier policy" {
		t.Errorf("after the outage: %s", got)
	}
	s.Wait(t, "statuses", func() bool { return statusOf(t, s, "Store", "", "store").IsSuccess })
}

// A kind whose CRD is not installed keeps the manager from being ready, not alive.
func TestMissingKind(t *testing.T) {
	t.Parallel()
	s := apiserver.Start(t, apiserver.Options{Lacks: []string{"NamespacedPolicy"}})
	s.Apply(t, cluster)
	r := startReplica(t, s, nil)
	s.Wait(t, "the lease", func() bool { return len(s.Objects("Lease")) == 1 })
	if err := r.Ready(); err == nil {
		t.Error("ready although a kind is missing")
	}
}

// A status that the API server takes, but Go's types do not, keeps nothing else from being read.
func TestOddStatus(t *testing.T) {
	t.Parallel()
	s := apiserver.Start(t, apiserver.Options{})
	s.Apply(t, cluster+"\n---\n"+manifest("NamespacedKeyManagementProvider", "team", "kmp", "x")+
		"\nstatus: {issuccess: true, lastfetchedtime: 2026-01-01t00:00:00z}")
	r := startReplica(t, s, nil)
	r.loaded(t)
	if got := r.parts(""); got != "store verifier policy" {
		t.Errorf("loaded: %s", got)
	}
	s.Wait(t, "its status", func() bool {
		return condition(statusOf(t, s, "NamespacedKeyManagementProvider", "team", "kmp"), conditionReady).Status == "True"
	})
}

// One replica writes; when it ends, another one does.
func TestReplicas(t *testing.T) {
	t.Parallel()
	s := apiserver.Start(t, apiserver.Options{})
	s.Apply(t, cluster)
	first := startReplica(t, s, func(o *Options) { o.Replica = "first" })
	first.loaded(t)
	holder := func() string {
		for _, lease := range s.Objects("Lease") {
			holder, _ := lease.Object["spec"].(map[string]any)["holderIdentity"].(string)
			return holder
		}
		return ""
	}
	s.Wait(t, "the first to lead", func() bool { return holder() == "first" })
	second := startReplica(t, s, func(o *Options) { o.Replica = "second" })
	second.loaded(t)
	s.Wait(t, "a status", func() bool { return statusOf(t, s, "Store", "", "store").IsSuccess })
	path := "PATCH /apis/config.ratify.deislabs.io/v1beta1/stores/store/status"
	if n := s.Writes(path); n != 1 {
		t.Errorf("two replicas wrote a status %d times", n)
	}

	first.stop()
	s.Wait(t, "the second to lead", func() bool { return holder() == "second" })
	s.Apply(t, manifest("Store", "", "store", ""))
	second.loaded(t)
	s.Wait(t, "the status by the second", func() bool { return statusOf(t, s, "Store", "", "store").Error != "" })
	if n := s.Writes(path); n != 2 {
		t.Errorf("the status was written %d times, want 2: what is right already need not be", n)
	}
	for _, e := range s.Objects("Event") {
		if e.Object["reportingInstance"] != "second" {
			t.Errorf("an event by %s", e.Object["reportingInstance"])
		}
	}
}

// The lease goes with the Deployment; one of an earlier version that has no owner gets it. Without the Deployment it is as good.
func TestLeaseOwner(t *testing.T) {
	const deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: ratify, namespace: ratify-system}}"
	for name, tt := range map[string]struct {
		manifest string
		owned    bool
	}{
		"new lease":     {deployment, true},
		"earlier lease": {deployment + "\n---\n{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: ratify-alibabacloud, namespace: ratify-system}}", true},
		"no Deployment": {cluster, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := apiserver.Start(t, apiserver.Options{})
			s.Apply(t, tt.manifest)
			startReplica(t, s, nil)
			lease := func() unstructured.Unstructured {
				for _, l := range s.Objects("Lease") {
					if _, held := l.Object["spec"].(map[string]any); held {
						return l
					}
				}
				return unstructured.Unstructured{}
			}
			s.Wait(t, "the lease", func() bool { return lease().Object != nil })
			held := lease()
			var want []metav1.OwnerReference
			if tt.owned {
				want = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "ratify", UID: s.Objects("Deployment")[0].GetUID()}}
			}
			if got := held.GetOwnerReferences(); !reflect.DeepEqual(got, want) {
				t.Errorf("owners %+v, want %+v", got, want)
			}
		})
	}
}

// The CRDs of Ratify v1.4 have no conditions: what else there is is written, once.
func TestOldCRDs(t *testing.T) {
	t.Parallel()
	s := apiserver.Start(t, apiserver.Options{DropsConditions: true})
	s.Apply(t, cluster)
	r := startReplica(t, s, nil)
	r.loaded(t)
	s.Wait(t, "a status", func() bool { return statusOf(t, s, "Store", "", "store").IsSuccess })
	s.Apply(t, manifest("Store", "", "store", ""))
	r.loaded(t)
	s.Wait(t, "an event", func() bool { return len(events(s, "Store", "store")) == 1 })
	got := statusOf(t, s, "Store", "", "store")
	if got.IsSuccess || !strings.Contains(got.Error, "label is missing") || got.Conditions != nil {
		t.Errorf("status %+v", got)
	}
	if n := s.Writes("PATCH /apis/config.ratify.deislabs.io/v1beta1/stores/store/status"); n != 2 {
		t.Errorf("the status was written %d times, want 2", n)
	}
}

// The serving certificate is made in the Secret, told to Gatekeeper, shown, and renewed while connections are made.
func TestCertificate(t *testing.T) {
	t.Parallel()
	s := apiserver.Start(t, apiserver.Options{})
	s.Apply(t, cluster+"\n---\n"+
		"apiVersion: v1\nkind: Secret\nmetadata: {namespace: ratify-system, name: ratify-tls}\n---\n"+
		"apiVersion: externaldata.gatekeeper.sh/v1beta1\nkind: Provider\nmetadata: {name: ratify-provider}\nspec: {url: 'https://x', caBundle: bm9uZQ==}")
	r := startReplica(t, s, func(o *Options) { o.KeepCertificate = true })
	other := startReplica(t, s, func(o *Options) { o.KeepCertificate, o.Replica = true, "other" })
	bundle := func() string {
		return s.Objects("Provider")[0].Object["spec"].(map[string]any)["caBundle"].(string)
	}
	s.Wait(t, "the authority at the provider", func() bool { return bundle() != "bm9uZQ==" })
	r.loaded(t)
	other.loaded(t)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve := &http.Server{Handler: http.NotFoundHandler()}
	go func() {
		_ = serve.Serve(tls.NewListener(listener, &tls.Config{GetCertificate: other.Certificate.Get}))
	}()
	defer serve.Close()
	shown := func() (*x509.Certificate, error) {
		roots := x509.NewCertPool()
		pem, err := base64.StdEncoding.DecodeString(bundle())
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			t.Fatalf("caBundle: %v", err)
		}
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "ratify.ratify-system"})
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0], nil
	}
	s.Wait(t, "both to be ready", func() bool { return r.Ready() == nil && other.Ready() == nil })
	first, err := shown()
	if err != nil {
		t.Fatal(err)
	}

	// A new authority: what the old one issued is shown until Gatekeeper knows both.
	before := bundle()
	secret := s.Objects("Secret")[0]
	data := secret.Object["data"].(map[string]any)
	delete(data, "ca.key")
	s.Put(t, secret)
	s.Wait(t, "both authorities at the provider", func() bool { return len(bundle()) > len(before) })
	s.Wait(t, "both authorities in the Secret", func() bool {
		return s.Objects("Secret")[0].Object["data"].(map[string]any)["ca.key"] != nil
	})
	if now, err := shown(); err != nil || !now.Equal(first) {
		t.Errorf("with a new authority, the same certificate should be shown: %v", err)
	}

	// Then another certificate, without a handshake that fails.
	secret = s.Objects("Secret")[0]
	delete(secret.Object["data"].(map[string]any), "tls.key")
	s.Put(t, secret)
	s.Wait(t, "another certificate", func() bool {
		now, err := shown()
		if err != nil {
			t.Fatal(err)
		}
		return !now.Equal(first)
	})

	// What helm, or a person, makes of the provider is mended.
	s.Apply(t, "apiVersion: externaldata.gatekeeper.sh/v1beta1\nkind: Provider\nmetadata: {name: ratify-provider}\nspec: {url: 'https://x', caBundle: bm9uZQ==}")
	s.Wait(t, "the authority at the provider", func() bool { return bundle() != "bm9uZQ==" })
}
