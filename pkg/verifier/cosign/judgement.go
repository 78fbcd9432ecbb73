package cosign

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// judgement is what one verification of one image judges signatures by.
type judgement struct {
	policy  *trustPolicy
	subject digest.Digest
	// material returns what else than its keys a policy judges by. An error says why that could not be found out.
	material func(ctx context.Context, p *trustPolicy) (material, error)
}

// attempt is the outcome of trying one key, or the identities, on one signature.
type attempt struct {
	key    Key
	logged bool // it is shown to be in the transparency log
	checks []string
	err    error // a *refusal, or why it could not be found out; nil if it verifies
}

// try judges a signature by every key of the policy, or by its identities.
func (j *judgement) try(ctx context.Context, s *signedLayer) []attempt {
	if j.policy.keyless {
		return []attempt{j.tryCertificate(ctx, s)}
	}
	var attempts []attempt
	for _, key := range j.policy.keys {
		attempts = append(attempts, j.tryKey(ctx, s, key))
	}
	return attempts
}

func (j *judgement) tryKey(ctx context.Context, s *signedLayer, key namedKey) attempt {
	a := attempt{key: key.Key}
	raw := s.signature
	if key.halves > 0 {
		raw = joinHalves(raw, key.halves)
	}
	if a.err = checkSignature(key.verifier, raw, s.payload); a.err != nil {
		a.err = refuse(fmt.Sprintf("it was not made with the key %s: %v", key.Key, a.err),
			fmt.Sprintf("sign the image with a key of %s, or add the signer's key to it if you trust that", j.policy))
		return a
	}
	a.checks = append(a.checks, "the signature was made with the key "+key.Key.String())
	j.rest(ctx, s, key.pem, &a)
	return a
}

func (j *judgement) tryCertificate(ctx context.Context, s *signedLayer) (a attempt) {
	const remedy = "sign the image again without a key, or use a trust policy with keys"
	if len(s.chain) == 0 {
		a.err = refuse("it has no certificate, which trust policies without keys need", remedy)
		return a
	}
	m, err := j.material(ctx, j.policy)
	if err != nil {
		a.err = err
		return a
	}
	verifier, err := j.checkCertificate(s.chain, m)
	if err != nil {
		a.err = refuse("its certificate is not acceptable: "+err.Error(),
			fmt.Sprintf("sign the image with an identity that %s accepts, or accept the signer's there if you trust that", j.policy))
		return a
	}
	if err := checkSignature(verifier, s.signature, s.payload); err != nil {
		a.err = refuse(fmt.Sprintf("it was not made with the key of its certificate: %v", err), again)
		return a
	}
	a.checks = append(a.checks, "the certificate was issued by a trusted authority", "the signature was made with the certificate's key")
	j.rest(ctx, s, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.chain[0].Raw}), &a)
	return a
}

// checkCertificate returns what verifies signatures of a certificate that a trusted authority issued to one of the policy's identities. Whether it
// was valid when it signed is told by the transparency log, later; authorities and certificate transparency logs must count when it was issued.
func (j *judgement) checkCertificate(chain []*x509.Certificate, m material) (signature.Verifier, error) {
	issued := chain[0].NotBefore
	roots, intermediates := m.certificatesAt(issued)
	if intermediates == nil {
		intermediates = x509.NewCertPool()
		for _, cert := range chain[1:] {
			intermediates.AddCert(cert)
		}
	}
	return cosign.ValidateAndUnpackCertWithIntermediates(chain[0], &cosign.CheckOpts{
		RootCerts: roots, Identities: j.policy.identities, IgnoreSCT: !j.policy.ctLog, CTLogPubKeys: keysAt(m.ctLogs, issued),
	}, intermediates)
}

func checkSignature(verifier signature.Verifier, raw, payload []byte) error {
	return verifier.VerifySignature(bytes.NewReader(raw), bytes.NewReader(payload))
}

// rest judges what is the same for keys and certificates: the image, the transparency log, and the time of the certificate. The order is that of
// the effort: the log is asked only about signatures that verify otherwise.
func (j *judgement) rest(ctx context.Context, s *signedLayer, keyPEM []byte, a *attempt) {
	if a.err = j.checkSubject(s.payload); a.err != nil {
		return
	}
	a.checks = append(a.checks, "the signature is for this image")
	signed := time.Now()
	if log := j.policy.log; log != nil {
		m, err := j.material(ctx, j.policy)
		if err != nil {
			a.err = err
			return
		}
		var offline bool
		if signed, offline, a.err = log.included(ctx, s, keyPEM, m.rekor); a.err != nil {
			return
		}
		a.logged = true
		if offline {
			a.checks = append(a.checks, "the signature's bundle shows that it is in the transparency log")
		} else {
			a.checks = append(a.checks, "the transparency log shows that the signature is in it")
		}
	}
	if len(s.chain) > 0 {
		if err := cosign.CheckExpiry(s.chain[0], signed); err != nil {
			when := "now, and no transparency log tells when the signature was made"
			if a.logged {
				when = "when the signature was made, by the transparency log's time"
			}
			a.err = refuse(fmt.Sprintf("its certificate, valid from %s to %s, is not valid at %s, %s",
				stamp(s.chain[0].NotBefore), stamp(s.chain[0].NotAfter), stamp(signed), when),
				"sign the image again; signatures in a transparency log outlive their certificates if tLogVerify is true")
			return
		}
		a.checks = append(a.checks, "the certificate was valid at that time")
	}
}

// checkSubject returns a refusal unless the payload is for the image. See "Simple Signing" in the signature specification.
func (j *judgement) checkSubject(signed []byte) error {
	var claims payload.SimpleContainerImage
	if err := json.Unmarshal(signed, &claims); err != nil {
		return refuse(fmt.Sprintf("what it signs cannot be read: %v", err), again)
	}
	if got := claims.Critical.Image.DockerManifestDigest; got != j.subject.String() {
		return refuse(fmt.Sprintf("it is for %q, not for this image, %s", got, j.subject), "sign this image; the signature was made for another one")
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
