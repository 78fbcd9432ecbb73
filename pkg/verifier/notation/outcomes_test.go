package notation

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	notationverifier "github.com/notaryproject/notation-go/verifier"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

// judge asks v about the signature in store, and wants this verdict, with the signature read or remembered.
func judge(t *testing.T, v *Verifier, store *memoryStore, want, read bool) verifier.VerifierResult {
	t.Helper()
	return judgeIn(t, v, store, repository, want, read)
}

func judgeIn(t *testing.T, v *Verifier, store *memoryStore, path string, want, read bool) verifier.VerifierResult {
	t.Helper()
	before := store.manifestReads
	result, err := verifyIn(t.Context(), v, store, path)
	if err != nil || result.IsSuccess != want {
		t.Fatalf("Verify() = %+v, %v; want success %t", result, err, want)
	}
	if got := store.manifestReads > before; got != read {
		t.Fatalf("the signature was read: %t, want %t", got, read)
	}
	return result
}

func TestOutcomeIsRemembered(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	for _, mediaType := range mediaTypes {
		for _, lvl := range []string{"strict", "permissive", "audit"} {
			t.Run(lvl+" "+mediaType, func(t *testing.T) {
				v, store := newVerifier(t, level(lvl), root.cert), newStore(image, sign(t, leaf, image, mediaType))
				first := judge(t, v, store, true, true)
				again := judge(t, v, store, true, false)
				if !reflect.DeepEqual(first, again) {
					t.Errorf("%+v, and then %+v", first, again)
				}
				again.Extensions.(map[string]string)["Subject"] = "changed"
				if got := judge(t, v, store, true, false); !reflect.DeepEqual(first, got) {
					t.Errorf("who got a result can change the next: %+v", got)
				}
				store.failSubject = http.ErrHandlerTimeout
				if result, err := verify(t.Context(), v, store); err == nil {
					t.Errorf("Verify() = %+v although the subject cannot be read", result)
				}
			})
		}
	}
}

// TestOutcomeIsOfItsKey asks about other things than what verified.
func TestOutcomeIsOfItsKey(t *testing.T) {
	root, other := newRoot(t, "root"), newRoot(t, "other root")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	store := newStore(image, sign(t, leaf, image, jws.MediaTypeEnvelope))
	parameters := strings.Replace(stores(`{"ca":{"x":["roots"],"y":["others"]}}`, `"ca:x"`), `"trustPolicies":[`,
		`"trustPolicies":[{"name":"others","registryScopes":["registry.example.com/others"],"signatureVerification":{"level":"strict"},
		"trustStores":["ca:y"],"trustedIdentities":["*"]},`, 1)
	material := providers{"roots": {root.cert}, "others": {other.cert}}
	verifierOf := func(material providers) *Verifier {
		v, err := New(t.Context(), parse(t, parameters), Options{KeyMaterial: material, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	t.Setenv("HOME", t.TempDir())
	v := verifierOf(material)
	judge(t, v, store, true, true)
	judge(t, v, store, true, false)

	t.Run("another repository, of the same trust policy", func(t *testing.T) {
		judgeIn(t, v, store, "registry.example.com/copy", true, false)
	})
	t.Run("another repository, of another trust policy", func(t *testing.T) {
		judgeIn(t, v, store, "registry.example.com/others", false, true)
	})
	t.Run("another subject", func(t *testing.T) {
		for _, subject := range []ocispec.Descriptor{
			imageOf("another image"),
			{MediaType: image.MediaType, Digest: image.Digest, Size: image.Size + 1},
			{MediaType: ocispec.MediaTypeImageIndex, Digest: image.Digest, Size: image.Size},
		} {
			changed := *store
			changed.subject = subject
			judge(t, v, &changed, false, true)
		}
	})
	t.Run("another signature", func(t *testing.T) {
		stranger := newStore(image, sign(t, issue(t, other, "stranger", newKey(t)), image, jws.MediaTypeEnvelope))
		judge(t, v, stranger, false, true)
		judge(t, v, stranger, false, true) // refusals are found again
		judge(t, v, store, true, false)
	})
	t.Run("the same signature as something else", func(t *testing.T) {
		subject := common.Reference{Path: repository, Digest: image.Digest}
		desc := ocispecs.ReferenceDescriptor{ArtifactType: artifactType, Descriptor: imageOf(fmt.Sprint("the signature's manifest ", store.manifest.Blobs))}
		for _, change := range []func(*ocispec.Descriptor){
			func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageIndex },
			func(d *ocispec.Descriptor) { d.Size++ },
		} {
			other, before := desc, store.manifestReads
			change(&other.Descriptor)
			if _, err := v.Verify(t.Context(), subject, other, store); err != nil || store.manifestReads == before {
				t.Errorf("%+v was not read, %v", other, err)
			}
		}
	})
	t.Run("other key material", func(t *testing.T) {
		judge(t, verifierOf(providers{"roots": {other.cert}, "others": {other.cert}}), store, false, true)
	})
	t.Run("a signature without a digest", func(t *testing.T) {
		for range 2 {
			before := store.manifestReads
			result, err := v.Verify(t.Context(), common.Reference{Path: repository, Digest: image.Digest}, ocispecs.ReferenceDescriptor{}, store)
			if err != nil || !result.IsSuccess || store.manifestReads == before {
				t.Errorf("Verify() = %+v, %v after %d reads", result, err, store.manifestReads-before)
			}
		}
	})
}

// TestOutcomeOfAnotherClock sets the clock back to before the signature verified: its certificates might not be valid yet.
func TestOutcomeOfAnotherClock(t *testing.T) {
	root := newRoot(t, "root")
	image := imageOf("image")
	store := newStore(image, sign(t, issue(t, root, "leaf", newKey(t)), image, cose.MediaTypeEnvelope))
	v := newVerifier(t, level("strict"), root.cert)
	judge(t, v, store, true, true)
	now := time.Now().Round(0)
	key := v.outcomes.kept.Keys()[0]
	for after, want := range map[time.Duration]bool{0: true, -time.Hour: false, 23 * time.Hour: true, 25 * time.Hour: false} {
		if _, ok := v.outcomes.get(t.Context(), key, now.Add(after)); ok != want {
			t.Errorf("known %s later: %t, want %t", after, ok, want)
		}
	}
}

// TestOutcomeEndsWithTime verifies what ends in an hour, a second before and after.
func TestOutcomeEndsWithTime(t *testing.T) {
	tests := map[string]struct {
		leaf, intermediate, root, signature time.Duration // from now
		check                               string
	}{
		"signature":    {24 * time.Hour, 24 * time.Hour, 24 * time.Hour, time.Hour, "expiry"},
		"leaf":         {time.Hour, 24 * time.Hour, 24 * time.Hour, 2 * time.Hour, "authenticTimestamp"},
		"intermediate": {24 * time.Hour, time.Hour, 24 * time.Hour, 2 * time.Hour, "authenticTimestamp"},
		"trust anchor": {24 * time.Hour, 24 * time.Hour, time.Hour, 2 * time.Hour, "authenticTimestamp"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				until := func(life time.Duration) []func(*x509.Certificate) {
					return []func(*x509.Certificate){valid(start.Add(-time.Hour), start.Add(life))}
				}
				root := issue(t, nil, "root", newKey(t), append(until(tt.root), asCA)...)
				intermediate := issue(t, root, "intermediate", newKey(t), append(until(tt.intermediate), asCA)...)
				leaf := issue(t, intermediate, "leaf", newKey(t), until(tt.leaf)...)
				image := imageOf("image")
				store := newStore(image, signRequest(t, leaf, image, cose.MediaTypeEnvelope, func(r *signature.SignRequest) { r.Expiry = start.Add(tt.signature) }))
				v := newVerifier(t, level("strict"), root.cert)
				judge(t, v, store, true, true)
				time.Sleep(time.Hour - time.Second)
				judge(t, v, store, true, false)
				time.Sleep(2 * time.Second)
				expectRefused(t, v, store, tt.check)
			})
		})
	}
}

// TestOutcomeThatIsNotRemembered has signatures that verify, but not by this verifier's own and lasting means.
func TestOutcomeThatIsNotRemembered(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	t.Run("failed check that is only logged", func(t *testing.T) {
		stranger := issue(t, newRoot(t, "strange root"), "stranger", newKey(t))
		v, store := newVerifier(t, level("audit"), root.cert), newStore(image, sign(t, stranger, image, cose.MediaTypeEnvelope))
		for range 2 {
			if result := judge(t, v, store, true, true); !strings.Contains(result.Message, "lets failed checks pass: authenticity") {
				t.Errorf("message %q", result.Message)
			}
		}
	})
	t.Run("revocation that is unknown and only logged", func(t *testing.T) {
		s := newResponder(t, root)
		s.SetFault(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
		unsure := issue(t, root, "leaf", newKey(t), withOCSP(s))
		v, store := newVerifier(t, level("permissive"), root.cert), newStore(image, sign(t, unsure, image, cose.MediaTypeEnvelope))
		judge(t, v, store, true, true)
		s.SetFault(nil)
		s.Revoke(unsure.cert)
		if result := judge(t, v, store, true, true); !strings.Contains(result.Message, "is revoked") {
			t.Errorf("message %q", result.Message)
		}
	})
	t.Run("verification plugin", func(t *testing.T) {
		plugins := t.TempDir()
		says := func(verdict string) {
			if err := os.WriteFile(filepath.Join(plugins, "notation-check"), []byte(fmt.Sprintf(script, "TRUSTED_IDENTITY", answer(verdict))), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		store := newStore(image, signRequest(t, leaf, image, jws.MediaTypeEnvelope, func(r *signature.SignRequest) {
			r.ExtendedSignedAttributes = []signature.Attribute{{Key: notationverifier.HeaderVerificationPlugin, Critical: true, Value: "check"}}
		}))
		t.Setenv("HOME", t.TempDir())
		v, err := New(t.Context(), parse(t, level("strict")), Options{KeyMaterial: providers{"roots": {root.cert}}, PluginDirectory: plugins, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		says("true")
		judge(t, v, store, true, true)
		says("false")
		judge(t, v, store, false, true)
	})
	t.Run("signer with a long name", func(t *testing.T) {
		wordy := issue(t, root, strings.Repeat("x", maxSignerBytes), newKey(t))
		v, store := newVerifier(t, level("strict"), root.cert), newStore(image, sign(t, wordy, image, cose.MediaTypeEnvelope))
		judge(t, v, store, true, true)
		judge(t, v, store, true, true)
	})
}

// TestOutcomesAreBounded fills a verifier's outcomes, as very many images of one signer do.
func TestOutcomesAreBounded(t *testing.T) {
	checker, err := revocation.New(revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o, err := newOutcomes(checker)
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range maxOutcomes + 1000 {
		key := keyOf("policy", ocispec.Descriptor{Size: int64(i)}, ocispec.Descriptor{})
		o.kept.Add(key, outcome{by: unique.Make(signedBy{subject: strings.Repeat("x", 100)}), at: fmt.Sprint("2026-01-01T00:00:00Z", i), rests: make([]revocation.Question, 1)})
	}
	if n := o.kept.Len(); n != maxOutcomes {
		t.Errorf("%d outcomes, want %d", n, maxOutcomes)
	}
	each := (heap() - before) / maxOutcomes
	t.Logf("%d bytes each", each)
	if each > 500 {
		t.Errorf("an outcome takes %d bytes", each)
	}
	runtime.KeepAlive(o)
}
