package notation

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

var mediaTypes = []string{jws.MediaTypeEnvelope, cose.MediaTypeEnvelope}

// expectRefused fails the test unless the signature is refused by check, for a reason with these words, and says what to do.
func expectRefused(t *testing.T, v *Verifier, store *memoryStore, check string, words ...string) {
	t.Helper()
	result, err := verify(t.Context(), v, store)
	if err != nil || result.IsSuccess {
		t.Fatalf("Verify() = %+v, %v; want a refusal", result, err)
	}
	if got := result.Extensions.(map[string]string)[factFailedCheck]; got != check {
		t.Errorf("failed check %q, want %q (%s)", got, check, result.ErrorReason)
	}
	for _, word := range words {
		if !strings.Contains(result.ErrorReason, word) {
			t.Errorf("reason %q does not say %q", result.ErrorReason, word)
		}
	}
	if result.Remediation == "" || !strings.Contains(result.Message, result.ErrorReason) {
		t.Errorf("message %q, remediation %q", result.Message, result.Remediation)
	}
}

func TestVerifySucceeds(t *testing.T) {
	root := newRoot(t, "root")
	intermediate := issue(t, root, "intermediate", newKey(t), asCA)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signers := map[string]*identity{
		"root-intermediate-leaf": issue(t, intermediate, "leaf", newKey(t)),
		"RSA leaf":               issue(t, root, "leaf", rsaKey),
		"self-signed leaf":       issue(t, nil, "leaf", newKey(t)),
	}
	image := imageOf("image")
	for name, signer := range signers {
		v := newVerifier(t, level("strict"), signer.chain[len(signer.chain)-1])
		for _, mediaType := range mediaTypes {
			t.Run(name+" "+mediaType, func(t *testing.T) {
				result, err := verify(t.Context(), v, newStore(image, sign(t, signer, image, mediaType)))
				if err != nil || !result.IsSuccess {
					t.Fatalf("Verify() = %+v, %v", result, err)
				}
				facts := result.Extensions.(map[string]string)
				for key, want := range map[string]string{
					"Issuer": signer.cert.Issuer.String(), "SN": signer.cert.Subject.String(), "Subject": signer.cert.Subject.String(),
					"Serial": signer.cert.SerialNumber.Text(16), "NotAfter": signer.cert.NotAfter.UTC().Format(time.RFC3339),
					"SignatureDigest": result.ReferenceDigest, "TrustPolicy": "default", "VerificationLevel": "strict",
				} {
					if facts[key] != want || want == "" {
						t.Errorf("extension %s is %q, want %q", key, facts[key], want)
					}
				}
				if at, err := time.Parse(time.RFC3339, facts["SigningTime"]); err != nil || time.Since(at) > time.Minute {
					t.Errorf("SigningTime is %q", facts["SigningTime"])
				}
				if result.Name != "verifier-notation" || result.VerifierType != "notation" || result.ArtifactType != artifactType {
					t.Errorf("result %+v", result)
				}
			})
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	stranger := issue(t, newRoot(t, "strange root"), "stranger", newKey(t))
	yesterday := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	expired := issue(t, root, "expired", newKey(t), valid(yesterday.Add(-time.Hour), yesterday.Add(time.Hour)))
	unborn := issue(t, root, "unborn", newKey(t), valid(time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)))
	inThePast := func(r *signature.SignRequest) { r.SigningTime = yesterday }
	image, other := imageOf("image"), imageOf("another image")
	v := newVerifier(t, level("strict"), root.cert)

	for _, mediaType := range mediaTypes {
		good := sign(t, leaf, image, mediaType)
		tests := []struct {
			name     string
			envelope []byte
			check    string
			words    []string
		}{
			{"stranger", sign(t, stranger, image, mediaType), "authenticity", []string{"CN=stranger", "CN=strange root", "ca:certs (1 certificates: CN=root"}},
			{"another image's", sign(t, leaf, other, mediaType), "subject", []string{other.Digest.String(), "not for this image, " + image.Digest.String()}},
			{"stranger's of another image", sign(t, stranger, other, mediaType), "authenticity", []string{"CN=stranger"}},
			{"expired leaf", signRequest(t, expired, image, mediaType, inThePast), "authenticTimestamp",
				[]string{"CN=expired", "expired on " + stamp(expired.cert.NotAfter), "tsa"}},
			{"leaf not yet valid", signRequest(t, unborn, image, mediaType, func(r *signature.SignRequest) { r.SigningTime = unborn.cert.NotBefore }),
				"authenticTimestamp", []string{"CN=unborn", "not valid before"}},
			{"expired signature", signRequest(t, leaf, image, mediaType, func(r *signature.SignRequest) {
				r.SigningTime, r.Expiry = yesterday, yesterday.Add(time.Hour)
			}), "expiry", []string{"expired on " + stamp(yesterday.Add(time.Hour))}},
			{"signing authority", signRequest(t, leaf, image, mediaType, func(r *signature.SignRequest) {
				r.SigningScheme = signature.SigningSchemeX509SigningAuthority
			}), "authenticity", []string{"no trust store of type signingAuthority"}},
			{"truncated", good[:len(good)/2], "integrity", nil},
			{"tampered", tamper(t, good, mediaType), "integrity", nil},
			{"empty", []byte{}, "integrity", nil},
			{"text", []byte("{}"), "integrity", nil},
			{"other payload type", signRequest(t, leaf, image, mediaType, func(r *signature.SignRequest) { r.Payload.ContentType = "text/plain" }), "integrity", nil},
			{"unreadable payload", signRequest(t, leaf, image, mediaType, func(r *signature.SignRequest) { r.Payload.Content = []byte(`{"targetArtifact":7}`) }), "subject",
				[]string{"cannot be read"}},
			{"other size", signRequest(t, leaf, ocispec.Descriptor{MediaType: image.MediaType, Digest: image.Digest, Size: 1}, mediaType, func(*signature.SignRequest) {}),
				"subject", []string{"of 1 bytes"}},
		}
		for _, tt := range tests {
			t.Run(mediaType+" "+tt.name, func(t *testing.T) {
				store := newStore(image).add(mediaType, tt.envelope)
				expectRefused(t, v, store, tt.check, tt.words...)
			})
		}
	}
}

// tamper changes what the envelope says it signs, and leaves the signature as it is.
func tamper(t *testing.T, envelope []byte, mediaType string) []byte {
	t.Helper()
	if mediaType == cose.MediaTypeEnvelope { // the payload is there as it is
		changed := bytes.Replace(envelope, []byte("sha256:"), []byte("sha257:"), 1)
		if bytes.Equal(changed, envelope) {
			t.Fatal("nothing to tamper with")
		}
		return changed
	}
	var parsed map[string]any
	if err := json.Unmarshal(envelope, &parsed); err != nil {
		t.Fatal(err)
	}
	parsed["payload"] = parsed["payload"].(string)[:20] + "A" + parsed["payload"].(string)[21:]
	changed, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestVerifyRefusesArtifacts(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	good := sign(t, leaf, image, jws.MediaTypeEnvelope)
	v := newVerifier(t, level("strict"), root.cert)

	huge := newStore(image).add(jws.MediaTypeEnvelope, make([]byte, maxEnvelopeBytes+1))
	huge.failBlob = errors.New("must not be read")
	named := newStore(image, good)
	named.manifest.Blobs[0].Digest = "sha257:00"

	tests := []struct {
		name  string
		store *memoryStore
		words string
	}{
		{"no blob", newStore(image), "0 blobs"},
		{"two blobs", newStore(image, good, sign(t, leaf, image, cose.MediaTypeEnvelope)), "2 blobs"},
		{"media type", newStore(image).add("application/octet-stream", good), `"application/octet-stream"`},
		{"size", huge, "more than"},
		{"digest", named, "sha257:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { expectRefused(t, v, tt.store, checkFormat, tt.words) })
	}

	t.Run("JWS named COSE", func(t *testing.T) {
		expectRefused(t, v, newStore(image).add(cose.MediaTypeEnvelope, good), "integrity")
	})
}

// TestQuotedNames has a stranger's certificate with a name that is meant for those who read it.
func TestQuotedNames(t *testing.T) {
	root := newRoot(t, "root")
	stranger := issue(t, nil, "a\nlevel=INFO msg=\"all good\"\x1b[2J\u202e"+strings.Repeat("世", 10_000), newKey(t))
	image := imageOf("image")
	v := newVerifier(t, level("strict"), root.cert)
	result, err := verify(t.Context(), v, newStore(image, sign(t, stranger, image, cose.MediaTypeEnvelope)))
	if err != nil || result.IsSuccess {
		t.Fatalf("Verify() = %+v, %v; want a refusal", result, err)
	}
	facts := result.Extensions.(map[string]string)
	for _, text := range []string{result.ErrorReason, facts["Issuer"], facts["SN"], facts["Subject"]} {
		if len(text) > printable.MaxBytes || strings.ContainsAny(text, "\n\x1b\u202e") || !utf8.ValidString(text) || !strings.HasSuffix(text, "…") {
			t.Errorf("quoted as %q", text)
		}
	}
	if len(result.Message) > printable.MaxBytes+100 {
		t.Errorf("message of %d bytes", len(result.Message))
	}
}

func TestVerifyUndetermined(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	good := sign(t, leaf, image, jws.MediaTypeEnvelope)
	v := newVerifier(t, level("strict"), root.cert)
	down := errors.New("503 from the registry")

	tests := []struct {
		name  string
		spoil func(*memoryStore)
		want  string
	}{
		{"subject", func(s *memoryStore) { s.failSubject = down }, down.Error()},
		{"manifest", func(s *memoryStore) { s.failManifest = down }, down.Error()},
		{"blob", func(s *memoryStore) { s.failBlob = down }, down.Error()},
		{"wrong bytes", func(s *memoryStore) { s.blobs[digest.FromBytes(good)] = bytes.ToUpper(good) }, "delivered content of digest"},
		{"short", func(s *memoryStore) { s.blobs[digest.FromBytes(good)] = good[1:] }, "bytes instead of"},
		{"endless", func(s *memoryStore) { s.blobs[digest.FromBytes(good)] = make([]byte, 1<<20) }, "bytes instead of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := newStore(image, good)
			tt.spoil(store)
			result, err := verify(t.Context(), v, store)
			if err == nil || result.IsSuccess || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Verify() = %+v, %v; want an error with %q", result, err, tt.want)
			}
			if strings.Contains(tt.want, "503") && !errors.Is(err, down) {
				t.Error("the cause is lost")
			}
		})
	}

	t.Run("another subject", func(t *testing.T) {
		store := newStore(image, good)
		subject := common.Reference{Path: repository, Digest: digest.FromString("x")}
		if result, err := v.Verify(t.Context(), subject, ocispecs.ReferenceDescriptor{}, store); err == nil || result.IsSuccess {
			t.Errorf("Verify() = %+v, %v; want an error", result, err)
		}
	})
	for _, fact := range []error{artifact.ErrLimit, artifact.ErrMalformed} {
		t.Run(fact.Error(), func(t *testing.T) {
			store := newStore(image, good)
			store.failManifest = fmt.Errorf("manifest: %w", fact)
			expectRefused(t, v, store, checkFormat, fact.Error())
		})
	}
}

func TestCanVerify(t *testing.T) {
	root := newRoot(t, "root")
	for types, want := range map[string]bool{artifactType: true, "*": true, "a/b, " + artifactType: true, "a/b": false, "a/b,c/d": false} {
		v := newVerifier(t, strings.Replace(level("strict"), artifactType, types, 1), root.cert)
		if got := v.CanVerify(t.Context(), ocispecs.ReferenceDescriptor{ArtifactType: artifactType}); got != want {
			t.Errorf("CanVerify with %q = %t, want %t", types, got, want)
		}
	}
	v := newVerifier(t, strings.Replace(level("strict"), `"type":"notation",`, "", 1), root.cert)
	if v.Name() != "verifier-notation" || v.Type() != v.Name() || len(v.GetNestedReferences()) != 0 {
		t.Errorf("name %q, type %q", v.Name(), v.Type())
	}
}

// TestConcurrent has many goroutines use one verifier, each for a signature of its own.
func TestConcurrent(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	stranger := issue(t, newRoot(t, "strange root"), "stranger", newKey(t))
	v := newVerifier(t, level("strict"), root.cert)
	var wg sync.WaitGroup
	for i := range 20 {
		image := imageOf(fmt.Sprint(i))
		signer := []*identity{leaf, stranger}[i%2]
		store := newStore(image, sign(t, signer, image, mediaTypes[i/2%2]))
		wg.Go(func() {
			result, err := verify(context.WithoutCancel(t.Context()), v, store)
			if err != nil || result.IsSuccess != (i%2 == 0) {
				t.Errorf("signature %d: %+v, %v", i, result, err)
			}
		})
	}
	wg.Wait()
}
