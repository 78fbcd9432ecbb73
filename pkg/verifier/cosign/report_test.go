package cosign

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/rekor/pkg/generated/models"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The extensions have the fields of Ratify's (Extension, cosignExtensionList, cosignExtension and PKKey in its pkg/verifier/cosign), which policies
// in Rego read.
func TestExtensions(t *testing.T) {
	ours, other := newKey(t), newKey(t)
	log := must(signing.NewCosignLog())(t)
	trustLog(t, log)
	s := logged(t, log, sign(t, ours), time.Now())
	v := newVerifier(t, withPolicy(withKeys), ours, other)
	result, err := verify(t.Context(), v, newStore(s))
	if err != nil {
		t.Fatal(err)
	}
	if result.Name != "verifier-cosign" || result.VerifierName != result.Name || result.Type != "cosign" || result.VerifierType != "cosign" ||
		result.ArtifactType != artifactType || result.ReferenceDigest != imageOf("the manifest").Digest.String() {
		t.Errorf("%+v", result)
	}
	payload := digest.FromBytes(s.Payload).String()
	want := `{
 "signatures": [
  {
   "signature": "` + s.Annotations[signing.CosignSignatureAnnotation] + `",
   "verifications": [
    {
     "signatureDigest": "` + payload + `",
     "isSuccess": true,
     "bundleVerified": true,
     "keyInformation": {
      "provider": "keys",
      "name": "key-0",
      "version": "1"
     },
     "summary": [
      "the signature was made with the key keys/key-0/1",
      "the signature is for this image",
      "the signature's bundle shows that it is in the transparency log"
     ]
    },
    {
     "signatureDigest": "` + payload + `",
     "isSuccess": false,
     "bundleVerified": false,
     "error": "it was not made with the key keys/key-1/1: invalid signature when validating ASN.1 encoded signature",
     "keyInformation": {
      "provider": "keys",
      "name": "key-1",
      "version": "1"
     }
    }
   ]
  }
 ],
 "trustPolicy": "default"
}`
	if got := string(must(json.MarshalIndent(result.Extensions, "", " "))(t)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// The form without trust policies has one list of all.
func TestLegacyExtensions(t *testing.T) {
	key := newKey(t)
	v := newVerifier(t, `{"name":"cosign","artifactTypes":"*","key":"`+writeFile(t, must(key.PEM())(t))+`"}`)
	result, err := verify(t.Context(), v, newStore(sign(t, newKey(t)), sign(t, key)))
	if got, reason := outcome(result, err); got != "verified" {
		t.Fatalf("%s: %s", got, reason)
	}
	text := string(must(json.Marshal(result.Extensions))(t))
	if !strings.HasPrefix(text, `{"signatures":[{"signatureDigest":"sha256:`) || strings.Count(text, `"isSuccess":true`) != 1 ||
		strings.Count(text, `"isSuccess":false`) != 1 || strings.Contains(text, "trustPolicy") {
		t.Error(text)
	}
}

// A refusal tells of every signature, in one line of bounded length.
func TestRefusalNamesAll(t *testing.T) {
	v := newVerifier(t, withPolicy(withKeys+withoutLog), newKey(t))
	hostile := sign(t, newKey(t)).With(signing.CosignCertificateAnnotation, "x\n\x00")
	store := newStore(sign(t, newKey(t)), hostile)
	result, err := verify(t.Context(), v, store)
	if got, reason := outcome(result, err); got != "refused" || !strings.Contains(reason,
		"signature 1 of 2: it was not made") || !strings.Contains(reason, "; signature 2 of 2: the annotation") {
		t.Errorf("%s: %s", got, reason)
	}
	if result.Remediation == "" || !strings.HasPrefix(result.Message, "signature refused: ") {
		t.Errorf("%+v", result)
	}
	var many []signing.CosignSignature
	for range 50 {
		many = append(many, sign(t, newKey(t)))
	}
	result, err = verify(t.Context(), v, newStore(many...))
	if got, reason := outcome(result, err); got != "refused" || !strings.Contains(reason, "and 45 more") || len(reason) > printable.MaxBytes {
		t.Errorf("%s: %s", got, reason)
	}
	if got := len(result.Extensions.(Extensions).Signatures); got != 50 {
		t.Errorf("%d signatures in extensions", got)
	}
}

// Whatever somebody puts into a manifest, nothing but our signature of our image verifies, and nothing panics.
func FuzzLayer(f *testing.F) {
	log := must(signing.NewCosignLog())(f)
	trustLog(f, log)
	fulcio := newFulcio(f)
	trustFulcio(f, fulcio)
	now := time.Now()
	key := newKey(f)
	byKey := logged(f, log, must(key.Signature(repository, imageOf("another")))(f), now)
	keyless := logged(f, log, must(must(fulcio.Issue("https://others.example.com", issuer, now))(f).Signature(repository, image))(f), now)
	for _, s := range []signing.CosignSignature{byKey, keyless} {
		f.Add(s.Payload, s.Annotations[signing.CosignSignatureAnnotation], s.Annotations[signing.CosignCertificateAnnotation],
			s.Annotations[signing.CosignChainAnnotation], s.Annotations[signing.CosignBundleAnnotation])
	}
	verifiers := []*Verifier{newVerifier(f, withPolicy(withKeys+`,"rekorURL":"https://log.example.com"`), key), newVerifier(f, withPolicy(withKeyless))}
	f.Fuzz(func(t *testing.T, payload []byte, signature, certificate, chain, bundle string) {
		s := signing.CosignSignature{Payload: payload, Annotations: map[string]string{
			signing.CosignSignatureAnnotation: signature, signing.CosignCertificateAnnotation: certificate,
			signing.CosignChainAnnotation: chain, signing.CosignBundleAnnotation: bundle,
		}}
		for _, v := range verifiers {
			if result, _ := verify(t.Context(), v, newStore(s)); result.IsSuccess {
				t.Errorf("%s: %+v", result.Message, s)
			}
		}
	})
}

// Whatever a transparency log answers, it proves nothing about a signature that it did not sign for, and nothing panics.
func FuzzLogEntry(f *testing.F) {
	log := must(signing.NewCosignLog())(f)
	key := newKey(f)
	ours, other := sign(f, key), sign(f, key)
	f.Add(must(json.Marshal(must(log.Entry(other, time.Now()))(f)))(f))
	trustLog(f, log)
	v := newVerifier(f, withPolicy(withKeys), key)
	layer := must(parseAnnotations(ours.Annotations))(f)
	layer.payload = ours.Payload
	f.Fuzz(func(t *testing.T, answer []byte) {
		var entries map[string]models.LogEntryAnon
		if json.Unmarshal(answer, &entries) != nil {
			return
		}
		for _, entry := range entries {
			if _, err := checkEntry(t.Context(), entry, layer, v.policies[0].keys[0].pem, v.policies[0].given.rekor); err == nil {
				t.Errorf("%s", answer)
			}
		}
	})
}
