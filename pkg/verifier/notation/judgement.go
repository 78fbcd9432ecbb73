package notation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-go"
	notationverifier "github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
)

// maxNamedAnchors limits the certificates that a reason names for one trust store.
const maxNamedAnchors = 5

// judgement puts the outcome of notation-go's verification into words.
type judgement struct {
	policy  *statement
	stores  trustStores
	subject ocispec.Descriptor
	outcome *notation.VerificationOutcome
	saw     *witness
}

// signer returns what the envelope says about the signer, nil when its integrity is not given.
func (j *judgement) signer() *signature.SignerInfo {
	if j.outcome == nil || j.outcome.EnvelopeContent == nil || len(j.outcome.EnvelopeContent.SignerInfo.CertificateChain) == 0 {
		return nil
	}
	return &j.outcome.EnvelopeContent.SignerInfo
}

// failed returns the failed check that the trust policy enforces, or nil.
func (j *judgement) failed() *notation.ValidationResult {
	if j.outcome == nil {
		return nil
	}
	for _, r := range j.outcome.VerificationResults {
		if r.Error != nil && r.Action == trustpolicy.ActionEnforce {
			return r
		}
	}
	return nil
}

// warnings returns the failed checks that the trust policy only logs, in one line.
func (j *judgement) warnings() string {
	if j.outcome == nil {
		return ""
	}
	var warnings []string
	for _, r := range j.outcome.VerificationResults {
		if r.Error != nil && r.Action == trustpolicy.ActionLog {
			reason, _ := j.reason(r)
			warnings = append(warnings, string(r.Type)+": "+reason)
		}
	}
	return strings.Join(warnings, "; ")
}

// describe returns the message of a verified signature, with the failed checks that the trust policy only logs.
func describe(by signedBy, policy *statement, warnings string) string {
	message := "signature verified: signed by " + by.subject
	if warnings != "" {
		message += fmt.Sprintf("; trust policy %q lets failed checks pass: %s", policy.Name, warnings)
	}
	return message
}

// explain returns the refusal that err, notation-go's verdict, means, or an error about what could not be found out.
func (j *judgement) explain(ctx context.Context, err error) error {
	failed := j.failed()
	if failed != nil {
		undetermined := failed.Type == trustpolicy.TypeRevocation && j.saw.revocation != nil ||
			failed.Type == trustpolicy.TypeAuthenticTimestamp && j.saw.timestamping != nil
		if !undetermined {
			reason, remedy := j.reason(failed)
			return refuse(string(failed.Type), reason, remedy)
		}
	}
	// A signature of another image is refused whatever else may be unknown about it.
	if mismatch := j.otherSubject(); mismatch != nil {
		return mismatch
	}
	unknown := j.saw.err()
	switch {
	case ctx.Err() != nil && unknown != nil:
		return fmt.Errorf("%w: %w", context.Cause(ctx), unknown)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case unknown != nil:
		return unknown
	}
	if j.asksForPlugin() {
		return refuse(checkPlugin, err.Error(), "install the verification plugin, or sign the image again without one")
	}
	return refuse(string(trustpolicy.TypeIntegrity), err.Error(), "sign the image again with notation")
}

// asksForPlugin reports whether the signature wants to be verified by a plugin.
func (j *judgement) asksForPlugin() bool {
	signer := j.signer()
	if signer == nil {
		return false
	}
	_, err := signer.ExtendedAttribute(notationverifier.HeaderVerificationPlugin)
	return err == nil
}

// notUnderstood returns a refusal if the signature has a critical attribute that nobody has processed. See "Extended attributes" in the signature
// specification. notation-go looks at what a plugin has processed, if one ran, and at names, not at the numbers that COSE has, too.
func (j *judgement) notUnderstood() error {
	signer := j.signer()
	if signer == nil {
		return nil
	}
	for _, attribute := range signer.SignedAttributes.ExtendedAttributes {
		name, _ := attribute.Key.(string)
		if attribute.Critical && !slices.Contains(notationverifier.VerificationPluginHeaders, name) && !slices.Contains(j.saw.processed, attribute.Key) {
			return refuse(checkAttributes, fmt.Sprintf("the signature has the critical attribute %v, which nothing here understands", attribute.Key),
				"sign the image again without it, or with the verification plugin that processes it")
		}
	}
	return nil
}

// otherSubject returns a refusal unless the envelope is for the subject.
func (j *judgement) otherSubject() error {
	if j.signer() == nil {
		return nil
	}
	var payload struct {
		TargetArtifact ocispec.Descriptor `json:"targetArtifact"`
	}
	if err := json.Unmarshal(j.outcome.EnvelopeContent.Payload.Content, &payload); err != nil {
		return refuse(checkSubject, fmt.Sprintf("what the signature signs cannot be read: %v", err), "sign the image again with notation")
	}
	signed := payload.TargetArtifact
	switch {
	case content.Equal(signed, j.subject):
		return nil
	case signed.Digest != j.subject.Digest:
		return refuse(checkSubject, fmt.Sprintf("the signature is for %s, not for this image, %s", signed.Digest, j.subject.Digest),
			"sign this image; a signature does not carry over to another, nor from a platform's image to the index or back")
	}
	return refuse(checkSubject, fmt.Sprintf("the signature is for %s as %s of %d bytes, but the registry has it as %s of %d bytes",
		signed.Digest, signed.MediaType, signed.Size, j.subject.MediaType, j.subject.Size), "sign the image again")
}

// reason puts a failed check into words, and says what to do about it.
func (j *judgement) reason(r *notation.ValidationResult) (reason, remedy string) {
	const reachable = "make the revocation responders reachable from here"
	switch r.Type {
	case trustpolicy.TypeIntegrity:
		return fmt.Sprintf("the signature envelope is damaged, or its certificates are not the chain of its signer: %v", r.Error),
			"sign the image again; if the signature is not yours, delete it"
	case trustpolicy.TypeAuthenticity:
		return j.authenticity(r.Error)
	case trustpolicy.TypeExpiry:
		return fmt.Sprintf("the signature expired on %s", stamp(j.signer().SignedAttributes.Expiry)),
			"sign the image again, with a longer expiry or none"
	case trustpolicy.TypeAuthenticTimestamp:
		if j.saw.timestamping != nil {
			return j.saw.timestamping.Error(), reachable
		}
		return j.timestamp(r.Error)
	case trustpolicy.TypeRevocation:
		if j.saw.revocation != nil {
			return j.saw.revocation.Error(), reachable
		}
		return r.Error.Error(), "sign the image again with a certificate that is not revoked; do not deploy it if the key may have leaked"
	}
	return r.Error.Error(), "sign the image again"
}

func (j *judgement) authenticity(err error) (reason, remedy string) {
	signer := j.signer()
	leaf := signer.CertificateChain[0]
	kind := truststore.TypeCA
	if signer.SignedAttributes.SigningScheme == signature.SigningSchemeX509SigningAuthority {
		kind = truststore.TypeSigningAuthority
	}
	if stores := j.anchors(kind); stores == "" {
		return fmt.Sprintf("trust policy %q uses no trust store of type %s, which signatures of the scheme %s need",
			j.policy.Name, kind, signer.SignedAttributes.SigningScheme), fmt.Sprintf("add a trust store of type %s to the trust policy", kind)
	} else if _, ok := errors.AsType[*signature.SignatureAuthenticityError](err); ok {
		return fmt.Sprintf("no trust store holds the issuer of %s, which is %s; trust policy %q uses %s", leaf.Subject, leaf.Issuer, j.policy.Name, stores),
			"add the signer's root certificate to one of these trust stores if you trust it, or sign with a certificate that they cover"
	}
	if !j.asksForPlugin() {
		if err := comparable(leaf.Subject); err != nil {
			return fmt.Sprintf("the signer's subject cannot be compared with the trusted identities of trust policy %q: %v", j.policy.Name, err),
				"sign with a certificate whose subject has no such attributes; or trust the signer's authority alone, and * in trustedIdentities"
		}
		return fmt.Sprintf("the signer %s is none of the trusted identities of trust policy %q: %s", leaf.Subject, j.policy.Name,
				strings.Join(j.policy.TrustedIdentities, "; ")),
			"add the signer to trustedIdentities of the trust policy if you trust it"
	}
	return err.Error(), "see what the verification plugin requires"
}

// anchors describes the trust stores of a type that the policy uses, empty when there are none.
func (j *judgement) anchors(kind truststore.Type) string {
	var stores []string
	for _, reference := range j.policy.TrustStores {
		t, name, _ := strings.Cut(reference, ":")
		if truststore.Type(t) != kind {
			continue
		}
		certs := j.stores[storeKey{kind, name}]
		var names []string
		for _, cert := range certs[:min(len(certs), maxNamedAnchors)] {
			names = append(names, cert.Subject.String())
		}
		if len(certs) > maxNamedAnchors {
			names = append(names, "…")
		}
		stores = append(stores, fmt.Sprintf("%s (%d certificates: %s)", reference, len(certs), strings.Join(names, "; ")))
	}
	return strings.Join(stores, ", ")
}

func (j *judgement) timestamp(err error) (reason, remedy string) {
	const again = "sign again with a valid certificate, and with a timestamp, which lets signatures outlive their certificates"
	if j.anchors(truststore.TypeTSA) != "" {
		return fmt.Sprintf("the timestamp does not show that the signature was made while its certificate was valid: %v", err), again
	}
	signer := j.signer()
	if signer.SignedAttributes.SigningScheme == signature.SigningSchemeX509 {
		now := time.Now()
		for _, cert := range signer.CertificateChain {
			if now.After(cert.NotAfter) {
				return fmt.Sprintf("the signing certificate %s expired on %s, and the trust policy has no trust store of type tsa to go by a timestamp",
					cert.Subject, stamp(cert.NotAfter)), again
			}
			if now.Before(cert.NotBefore) {
				return fmt.Sprintf("the signing certificate %s is not valid before %s", cert.Subject, stamp(cert.NotBefore)),
					"check the clocks of this machine and of the authority"
			}
		}
	}
	return err.Error(), again
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
