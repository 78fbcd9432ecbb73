package notation

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/ratify-project/ratify/pkg/verifier/config"
	gocose "github.com/veraison/go-cose"
)

// FuzzVerify mutates signed envelopes: none may crash the verifier, and only the very bytes that were signed may verify.
func FuzzVerify(f *testing.F) {
	root := newRoot(f, "root")
	leaf := issue(f, root, "leaf", newKey(f))
	image := imageOf("image")
	v := newVerifier(f, level("strict"), root.cert)
	good := make(map[string]bool)
	for _, mediaType := range mediaTypes {
		envelope := sign(f, leaf, image, mediaType)
		good[string(envelope)] = true
		for i := range 5 {
			f.Add(mediaType == cose.MediaTypeEnvelope, envelope, uint16(i*251), byte(i))
		}
	}
	all := slices.Collect(maps.Keys(good))
	f.Fuzz(func(t *testing.T, isCOSE bool, envelope []byte, position uint16, flip byte) {
		mediaType := jws.MediaTypeEnvelope
		if isCOSE {
			mediaType = cose.MediaTypeEnvelope
		}
		// The fuzzer's bytes, and a signed envelope with one byte changed: keys differ from run to run, so that a stored input is not signed.
		for _, candidate := range append([]string{string(envelope)}, all...) {
			mutant := []byte(candidate)
			if len(mutant) > 0 {
				mutant[int(position)%len(mutant)] ^= flip
			}
			result, err := verify(t.Context(), v, newStore(image).add(mediaType, mutant))
			if err != nil {
				t.Fatalf("no decision: %v", err)
			}
			if result.IsSuccess && !sameSignature(mutant, all) {
				t.Fatalf("verified although changed: %q", mutant)
			}
		}
	})
}

// sameSignature reports whether mutant says the same as one of the envelopes: JSON has more than one way to write a value, and neither format
// signs its unprotected header.
func sameSignature(mutant []byte, envelopes []string) bool {
	for _, e := range envelopes {
		if string(mutant) == e {
			return true
		}
		a, b := signedParts(mutant), signedParts([]byte(e))
		if a != "" && a == b {
			return true
		}
	}
	return false
}

// signedParts returns what a signature covers, and the signature.
func signedParts(envelope []byte) string {
	var message gocose.Sign1Message
	if message.UnmarshalCBOR(envelope) == nil {
		return fmt.Sprintf("%x|%x|%x", message.Headers.RawProtected, message.Payload, message.Signature)
	}
	var parsed struct{ Payload, Protected, Signature string }
	if json.Unmarshal(envelope, &parsed) != nil {
		return ""
	}
	raw, _ := base64.RawURLEncoding.DecodeString(parsed.Signature) // the last character has bits to spare
	return fmt.Sprintf("%s|%s|%x", parsed.Protected, parsed.Payload, raw)
}

// FuzzNew checks that no parameters make New panic, and that it blames one of them when it fails.
func FuzzNew(f *testing.F) {
	f.Setenv("HOME", f.TempDir())
	root := newRoot(f, "root")
	for _, seed := range []string{
		level("strict"), withPolicy(`"registryScopes":["a.b/c"],"signatureVerification":{"level":"skip"}`),
		stores(`{"tsa":{"x":["roots"]},"signingAuthority":{"y":["roots"]}}`, `"tsa:x"`), stores(`{"x":null}`, `"ca:x"`), `{"trustPolicyDoc":null}`, `{}`, `{"":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var cfg config.VerifierConfig
		if json.Unmarshal(text, &cfg) != nil {
			return
		}
		delete(cfg, "verificationCerts") // of this machine
		v, err := New(t.Context(), cfg, Options{KeyMaterial: providers{"roots": {root.cert}}, Log: quiet()})
		if err == nil {
			if v.Name() == "" || len(v.artifactTypes) == 0 {
				t.Errorf("accepted %s", text)
			}
			return
		}
		if mistake, ok := errors.AsType[*ConfigError](err); !ok || mistake.Field == "" {
			t.Errorf("error without a parameter: %v", err)
		}
	})
}
