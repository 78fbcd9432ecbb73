package cosign

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// loggedEntry is what an entry of a transparency log says about a signature; the types hashedrekord and rekord have it in the same places.
type loggedEntry struct {
	Kind string `json:"kind"`
	Spec struct {
		Data struct {
			Hash struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"hash"`
		} `json:"data"`
		Signature struct {
			Content   []byte `json:"content"`
			PublicKey struct {
				Content []byte `json:"content"`
			} `json:"publicKey"`
		} `json:"signature"`
	} `json:"spec"`
}

// checkBundle returns an error unless the bundle is a trusted log's promise about this signature, made with the key (or certificate) in keyPEM.
func checkBundle(b *bundle.RekorBundle, s *signedLayer, keyPEM []byte, logs map[string]*root.TransparencyLog) error {
	body, ok := b.Payload.Body.(string)
	if !ok {
		return errors.New("it has no entry")
	}
	text, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		return fmt.Errorf("its entry: %w", err)
	}
	var entry loggedEntry
	if err := json.Unmarshal(text, &entry); err != nil {
		return fmt.Errorf("its entry: %w", err)
	}
	if entry.Kind != "hashedrekord" && entry.Kind != "rekord" {
		return fmt.Errorf("its entry is of kind %q; those of image signatures are hashedrekord or rekord", entry.Kind)
	}
	hash := sha256.Sum256(s.payload)
	if got := entry.Spec.Data.Hash; got.Algorithm != "sha256" || got.Value != hex.EncodeToString(hash[:]) {
		return fmt.Errorf("its entry is about other content: %s %s", got.Algorithm, got.Value)
	}
	if !bytes.Equal(entry.Spec.Signature.Content, s.signature) {
		return errors.New("its entry is about another signature")
	}
	logged, _ := pem.Decode(entry.Spec.Signature.PublicKey.Content)
	if ours, _ := pem.Decode(keyPEM); logged == nil || ours == nil || !bytes.Equal(logged.Bytes, ours.Bytes) {
		return errors.New("its entry is about another key or certificate")
	}
	at := time.Unix(b.Payload.IntegratedTime, 0)
	key, ok := keysAt(logs, at).Keys[b.Payload.LogID]
	if !ok {
		return fmt.Errorf("it is of a log that is not trusted for entries of %s, %q", stamp(at), b.Payload.LogID)
	}
	public, ok := key.PubKey.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("it is of a log with a key of type %T; only ECDSA makes signed entry timestamps", key.PubKey)
	}
	if err := cosign.VerifySET(b.Payload, b.SignedEntryTimestamp, public); err != nil {
		return fmt.Errorf("its signed entry timestamp is not the log's: %w", err)
	}
	return nil
}

// checkEntry returns when a log that was asked took in this signature, or an error unless the entry proves that it did.
func checkEntry(ctx context.Context, entry models.LogEntryAnon, s *signedLayer, keyPEM []byte,
	logs map[string]*root.TransparencyLog) (time.Time, error) {
	if err := entry.Validate(strfmt.Default); err != nil {
		return time.Time{}, err
	}
	b := bundle.EntryToBundle(&entry)
	if b == nil {
		return time.Time{}, errors.New("it has no proof")
	}
	if err := checkBundle(b, s, keyPEM, logs); err != nil {
		return time.Time{}, err
	}
	at := time.Unix(b.Payload.IntegratedTime, 0)
	// VerifyTLogEntryOffline wants the keys of all logs to be of one kind.
	only := map[string]*root.TransparencyLog{b.Payload.LogID: logs[b.Payload.LogID]}
	if err := cosign.VerifyTLogEntryOffline(ctx, &entry, keysAt(only, at), nil); err != nil {
		return time.Time{}, err
	}
	return at, nil
}

// included returns when the transparency log took in a signature, and whether that is known from the signature's bundle, without asking. It
// returns a refusal when the signature is not in the log, and any other error when the log, asked, did not give an answer that proves something.
func (l *transparencyLog) included(ctx context.Context, s *signedLayer, keyPEM []byte,
	logs map[string]*root.TransparencyLog) (at time.Time, offline bool, err error) {
	if s.bundle != nil {
		if err := checkBundle(s.bundle, s, keyPEM, logs); err != nil {
			return at, true, refuse("the transparency log's bundle does not fit the signature: "+err.Error(), "sign the image again")
		}
		return time.Unix(s.bundle.Payload.IntegratedTime, 0), true, nil
	}
	entries, err := l.find(ctx, s.payload, s.signature, keyPEM)
	if err != nil {
		return at, false, err
	}
	if len(entries) == 0 {
		return at, false, refuse("the signature is not in the transparency log "+l.name,
			"sign the image again and let cosign upload the signature, or set tLogVerify to false")
	}
	var problems []error
	for _, entry := range entries {
		t, err := checkEntry(ctx, entry, s, keyPEM, logs)
		if err != nil {
			problems = append(problems, err)
		} else if at.IsZero() || t.Before(at) {
			at = t
		}
	}
	if at.IsZero() {
		return at, false, fmt.Errorf("transparency log %s: what it answered about the signature proves nothing: %w; see that rekorURL and the "+
			"trusted keys are of the same log", l.name, errors.Join(problems...))
	}
	return at, false, nil
}
