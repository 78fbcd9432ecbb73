package notation

import (
	"crypto/x509"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/jws"
)

// TestRotation replaces a root in steps, as one provider that holds versions and as several providers of a store: while both are there, the
// signatures of both verify, and those of the old no longer once it has left.
func TestRotation(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	old, next := newRoot(t, "root"), newRoot(t, "root") // of the same name, as versions are
	image := imageOf("image")
	signed := map[*identity][]byte{}
	for _, root := range []*identity{old, next} {
		signed[root] = sign(t, issue(t, root, "leaf", newKey(t)), image, jws.MediaTypeEnvelope)
	}
	steps := []struct {
		name      string
		material  providers
		old, next bool
	}{
		{"before", providers{"a": {old.cert}, "b": {old.cert}}, true, false},
		{"two versions in one provider", providers{"a": {old.cert, next.cert}, "b": {next.cert, old.cert}}, true, true},
		{"two providers", providers{"a": {old.cert}, "b": {next.cert}}, true, true},
		{"after", providers{"a": {next.cert}, "b": {next.cert}}, false, true},
	}
	for _, step := range steps {
		t.Run(step.name, func(t *testing.T) {
			v, err := New(t.Context(), parse(t, stores(`{"ca":{"x":["a","b"]}}`, `"ca:x"`)), Options{KeyMaterial: step.material, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			for root, want := range map[*identity]bool{old: step.old, next: step.next} {
				result, err := verify(t.Context(), v, newStore(image, signed[root]))
				if err != nil || result.IsSuccess != want {
					t.Errorf("Verify() = %+v, %v; want success %t", result, err, want)
				}
			}
		})
	}
}

// TestRotationOfSelfSigned replaces a self-signed signer, as the KMS plugin makes them, by one of the same key.
func TestRotationOfSelfSigned(t *testing.T) {
	key := newKey(t)
	old, next := issue(t, nil, "signer", key), issue(t, nil, "signer", key)
	image := imageOf("image")
	for signer, trusted := range map[*identity]*x509.Certificate{old: old.cert, next: next.cert} {
		store := newStore(image, sign(t, signer, image, jws.MediaTypeEnvelope))
		if result, err := verify(t.Context(), newVerifier(t, level("strict"), trusted), store); err != nil || !result.IsSuccess {
			t.Errorf("Verify() = %+v, %v", result, err)
		}
	}
	expectRefused(t, newVerifier(t, level("strict"), next.cert), newStore(image, sign(t, old, image, jws.MediaTypeEnvelope)), "authenticity", "no trust store holds")
}
