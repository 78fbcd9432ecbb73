package kms

import (
	"context"
	"crypto"
	"fmt"
	"log/slog"
	"time"
)

// Client is what is asked of KMS. Implementations are safe for concurrent use. Errors of calls are *Error, or say why there are no credentials.
//
// keyID is the ID, the ARN or an alias ("alias/…") of a key. version is the ID of one of its versions; empty is the newest.
type Client interface {
	// DescribeKey returns what KMS tells of a key. A ClientKey knows the ID and the Spec only, which it tells from the public key.
	DescribeKey(ctx context.Context, keyID string) (Key, error)
	// KeyVersions returns the versions of a key, the newest first. A ClientKey cannot ask: its error wraps ErrUnsupported.
	KeyVersions(ctx context.Context, keyID string) ([]KeyVersion, error)
	// PublicKey returns the public half of a key.
	PublicKey(ctx context.Context, keyID, version string) (PublicKey, error)
	// Sign has KMS sign a SHA-256 digest. The signature is as KMS makes it: that of an EC key is in ASN.1 DER.
	Sign(ctx context.Context, keyID, version string, algorithm Algorithm, digest [32]byte) (Signature, error)
	// Secret returns a version of a secret.
	Secret(ctx context.Context, name string, version SecretVersion) (Secret, error)
	// String says where KMS is asked, and with whose rights, for logs and errors.
	fmt.Stringer
}

// Key is what KMS tells of a key.
type Key struct {
	ID         string // its own, whatever alias was asked for
	Spec       KeySpec
	State      string // Enabled, Disabled, PendingDeletion, PendingImport; empty if unknown
	Usage      string // SIGN/VERIFY or ENCRYPT/DECRYPT; empty if unknown
	Origin     string // Aliyun_KMS or EXTERNAL; empty if unknown
	InstanceID string // of the dedicated instance that holds it; empty if none, or unknown
}

// KeyVersion is a version of a key.
type KeyVersion struct {
	ID      string
	Created time.Time
}

// PublicKey is the public half of a version of a key.
type PublicKey struct {
	KeyID   string // as KMS answered
	Version string // empty with a ClientKey, which knows no versions
	Spec    KeySpec
	// Key is an *rsa.PublicKey or *ecdsa.PublicKey; nil if Go's library does not know Spec's curve.
	Key crypto.PublicKey
}

// Signature is what KMS made with a version of a key.
type Signature struct {
	KeyID   string
	Version string // empty with a ClientKey, which knows no versions
	Value   []byte
}

// SecretVersion selects a version of a secret: by ID, else by stage, else the current one.
type SecretVersion struct {
	ID    string
	Stage string // such as ACSCurrent or ACSPrevious
}

// Stages of a secret's versions that KMS itself sets.
const (
	StageCurrent  = "ACSCurrent"
	StagePrevious = "ACSPrevious"
)

// Secret is a version of a secret. Printing or logging one does not show its data.
type Secret struct {
	Name    string
	Version string
	Stages  []string
	Data    []byte
}

// String names the secret and its version.
func (s Secret) String() string { return "secret " + s.Name + " version " + s.Version }

// GoString is String, so that %#v shows no data.
func (s Secret) GoString() string { return s.String() }

// LogValue is what slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
