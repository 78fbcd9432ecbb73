package notation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"
	"unique"

	lru "github.com/hashicorp/golang-lru/v2"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

const (
	// maxOutcomes bounds the signatures of which a verifier knows that they verify. Each takes about 300 bytes, 5 MiB in all, besides what is
	// told about its signer, which all signatures of a signer share. There is room for the 10,000 images that we plan for, with more than one
	// signature some of them: what is asked about in turn must all fit, or none is found.
	maxOutcomes = 16384

	// maxSignerBytes bounds what is told about one signer, so that all outcomes stay below 24 MiB even if each is another signer's. Names have
	// some 100 bytes; signatures of signers with longer ones are verified each time.
	maxSignerBytes = 1 << 10
)

// outcomes remembers which signatures verified, so that images that are asked about again cost neither cryptography nor the reading of the
// signature. Only plain success is remembered: every check that the trust policy asks for was made and passed, and no plugin had a part in it.
//
// It is safe because nothing that such a verification depends on can change unnoticed:
//   - what is verified is the key: the subject's descriptor, and that of the signature's manifest, whose digest pins the envelope;
//   - by what it is verified, trust policies and trust stores, never changes in a Verifier, whose outcomes these are. Which of the policies
//     applies is part of the key;
//   - time: an outcome ends with the signature's expiry, and when the first certificate does, and does not count for a clock that is set back to
//     before it was found out: certificates might not be valid yet;
//   - revocation: an outcome holds only while a check of each chain would find the same by the same answers and lists.
type outcomes struct {
	kept    *lru.Cache[outcomeKey, outcome]
	checker *revocation.Checker
}

type outcomeKey [sha256.Size]byte

type outcome struct {
	by    unique.Handle[signedBy]
	at    string    // when it was signed, as told in facts
	since time.Time // when this was found out, by the wall clock
	ends  time.Time // zero: never
	rests []revocation.Question
}

func newOutcomes(checker *revocation.Checker) (*outcomes, error) {
	kept, err := lru.New[outcomeKey, outcome](maxOutcomes)
	return &outcomes{kept, checker}, err
}

// keyOf returns the key for a signature of subject under a trust policy. It is a digest, for media types are as long as their makers like.
func keyOf(policy string, subject, signature ocispec.Descriptor) outcomeKey {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %q %q %d", policy, subject.Digest, subject.MediaType, subject.Size,
		signature.Digest, signature.MediaType, signature.Size))
}

// get returns what is known about a signature that would still verify at now.
func (o *outcomes) get(ctx context.Context, key outcomeKey, now time.Time) (outcome, bool) {
	known, ok := o.kept.Get(key)
	if !ok || now.Before(known.since) || !known.ends.IsZero() && !now.Before(known.ends) {
		return outcome{}, false
	}
	for _, question := range known.rests {
		if !o.checker.Good(ctx, question) {
			return outcome{}, false
		}
	}
	return known, true
}

// put remembers a signature that verified plainly, unless there is too much to tell about its signer.
func (o *outcomes) put(key outcomeKey, found outcome) {
	if found.by.Value().size() <= maxSignerBytes {
		o.kept.Add(key, found)
	}
}

// plain reports whether every check that was made passed, by this verifier's means alone.
func (j *judgement) plain() bool {
	for _, r := range j.outcome.VerificationResults {
		if r.Error != nil {
			return false
		}
	}
	return !j.asksForPlugin() && j.saw.err() == nil
}

// ends returns when the time alone may change the judgement, which was made at start or later; zero if never. A certificate that had ended
// before is one whose timestamp, or signing authority, tells that it was in use before that. That does not change.
func (j *judgement) ends(start time.Time) time.Time {
	var end time.Time
	earliest := func(t time.Time) {
		if !t.IsZero() && !t.Before(start) && (end.IsZero() || t.Before(end)) {
			end = t
		}
	}
	signer := j.signer()
	earliest(signer.SignedAttributes.Expiry)
	for _, chain := range append([][]*x509.Certificate{signer.CertificateChain}, j.saw.chains...) {
		for _, cert := range chain {
			earliest(cert.NotAfter)
		}
	}
	return end
}
