package signing

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"
)

// CosignLog is the key of a transparency log, such as Rekor's.
type CosignLog struct{ CosignKey }

// NewCosignLog returns a log with a new key.
func NewCosignLog() (CosignLog, error) {
	key, err := NewCosignKey()
	return CosignLog{key}, err
}

// ID returns the log's identifier (RFC 6962, section 3.2).
func (l CosignLog) ID() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(l.key.Public())
	if err != nil {
		return "", err
	}
	id := sha256.Sum256(der)
	return hex.EncodeToString(id[:]), nil
}

// promise is what a log signs when it takes in an entry. Its JSON is canonical (RFC 8785): names in order, no spaces.
type promise struct {
	Body           string `json:"body"`
	IntegratedTime int64  `json:"integratedTime"`
	LogID          string `json:"logID"`
	LogIndex       int64  `json:"logIndex"`
}

func (l CosignLog) promise(s CosignSignature, at time.Time) (promise, []byte, error) {
	key := s.signer.Certificate
	if key == "" {
		var err error
		if key, err = s.signer.PEM(); err != nil {
			return promise{}, nil, err
		}
	}
	hash := sha256.Sum256(s.Payload)
	type object = map[string]any
	body, err := json.Marshal(object{
		"apiVersion": "0.0.1", "kind": "hashedrekord",
		"spec": object{
			"data":      object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(hash[:])}},
			"signature": object{"content": s.Annotations[CosignSignatureAnnotation], "publicKey": object{"content": []byte(key)}},
		},
	})
	if err != nil {
		return promise{}, nil, err
	}
	id, err := l.ID()
	if err != nil {
		return promise{}, nil, err
	}
	p := promise{base64.StdEncoding.EncodeToString(body), at.Unix(), id, 7}
	text, err := json.Marshal(p)
	if err != nil {
		return promise{}, nil, err
	}
	digest := sha256.Sum256(text)
	signed, err := ecdsa.SignASN1(rand.Reader, l.key.(*ecdsa.PrivateKey), digest[:])
	return p, signed, err
}

// Bundle returns the annotation that proves without asking the log that it took in a signature at a time.
func (l CosignLog) Bundle(s CosignSignature, at time.Time) (string, error) {
	p, signed, err := l.promise(s, at)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"SignedEntryTimestamp": signed, "Payload": p})
	return string(text), err
}

// Entry returns what the log answers when it is asked for the entry of a signature, by the entry's identifier. The entry is the log's only one.
func (l CosignLog) Entry(s CosignSignature, at time.Time) (map[string]any, error) {
	p, signed, err := l.promise(s, at)
	if err != nil {
		return nil, err
	}
	body, err := base64.StdEncoding.DecodeString(p.Body)
	if err != nil {
		return nil, err
	}
	leaf := sha256.Sum256(append([]byte{0}, body...)) // RFC 6962, section 2.1; with a single leaf it is the root, too
	return map[string]any{hex.EncodeToString(leaf[:]): map[string]any{
		"body": p.Body, "integratedTime": p.IntegratedTime, "logID": p.LogID, "logIndex": p.LogIndex,
		"verification": map[string]any{
			"signedEntryTimestamp": signed,
			"inclusionProof": map[string]any{
				"checkpoint": "none", "hashes": []string{}, "logIndex": 0, "rootHash": hex.EncodeToString(leaf[:]), "treeSize": 1,
			},
		},
	}}, nil
}
