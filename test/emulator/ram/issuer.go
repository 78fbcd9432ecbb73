package ram

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	clusterID = "c0123456789abcdef0123456789abcdef"
	// IssuerURL is the cluster's OIDC issuer, in the form that ACK gives to RRSA.
	IssuerURL = "https://oidc-ack-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com/" + clusterID
	// Audience is the one client id of the provider, and the audience that the role's trust policy requires.
	Audience = "sts.aliyuncs.com"
	// Subject is the service account that the role's trust policy allows.
	Subject = "system:serviceaccount:ratify:ratify-admin"

	// tokenLifetime is the default, and what the RRSA webhook asks the kubelet for.
	tokenLifetime = time.Hour
	keyID         = "ack-cluster-key-1"
)

// What may be wrong with an OIDC token, in the order in which it is checked.
var (
	ErrTokenForm = errors.New("not a token in JWT form with an accepted algorithm")
	ErrIssuer    = errors.New("another issuer's token")
	ErrSignature = errors.New("not signed by the issuer")
	ErrAudience  = errors.New("for another audience")
	ErrExpired   = errors.New("expired or not valid yet")
	ErrSubject   = errors.New("the role's trust policy does not allow the subject")
)

// TokenOptions describe an OIDC token. The zero value is one that may assume the role.
type TokenOptions struct {
	Subject      string
	Audience     string
	Issuer       string
	TTL          time.Duration // from now; negative for an expired token
	BadSignature bool          // signed by a key that is not the issuer's
}

// ErrNotOurs is the error of Token where a real cluster has the key.
var ErrNotOurs = errors.New("the tokens of this issuer are signed by a cluster, not by the emulator")

// Issuer is the cluster that signs tokens of service accounts.
type Issuer struct {
	now      func() time.Time
	key      *ecdsa.PrivateKey // nil: the cluster is a real one
	public   crypto.PublicKey  // of key, or the real cluster's
	stranger *ecdsa.PrivateKey

	mu    sync.Mutex
	after time.Time // tokens issued before are refused
}

func newIssuer(now func() time.Time) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Issuer{now: now, key: key, public: key.Public(), stranger: stranger}, nil
}

// Trust makes the issuer a real cluster, whose key for service accounts has this public half (RSA or ECDSA). The cluster must
// issue tokens as IssuerURL. Call it before the first token is authorized.
func (i *Issuer) Trust(public crypto.PublicKey) { i.key, i.public = nil, public }

// Expire makes all tokens that were issued before now expired. Tokens tell the second in which they were issued.
func (i *Issuer) Expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.after = i.now().Truncate(time.Second)
}

func (i *Issuer) hasExpired(claims jwt.Claims) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return claims.IssuedAt != nil && claims.IssuedAt.Time().Before(i.after)
}

// Token returns a signed token with the claims of a projected service account token.
func (i *Issuer) Token(o TokenOptions) (string, error) {
	key := i.key
	if o.BadSignature {
		key = i.stranger
	}
	if key == nil {
		return "", ErrNotOurs
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithHeader(jose.HeaderKey("kid"), keyID))
	if err != nil {
		return "", err
	}
	ttl := o.TTL
	if ttl == 0 {
		ttl = tokenLifetime
	}
	expires := i.now().Add(ttl)
	issued := i.now()
	if ttl < 0 {
		issued = expires.Add(-tokenLifetime)
	}
	claims := jwt.Claims{
		Issuer:    cmp.Or(o.Issuer, IssuerURL),
		Subject:   cmp.Or(o.Subject, Subject),
		Audience:  jwt.Audience{cmp.Or(o.Audience, Audience)},
		Expiry:    jwt.NewNumericDate(expires),
		IssuedAt:  jwt.NewNumericDate(issued),
		NotBefore: jwt.NewNumericDate(issued),
		ID:        rand.Text(),
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// Authorize checks that a token may assume the role: by itself first, then by the role's trust policy. Its errors are the
// ones of this package. White space around the token does not count: SDKs send the token's file as it is.
func (i *Issuer) Authorize(token string) (jwt.Claims, error) {
	parsed, err := jwt.ParseSigned(strings.TrimSpace(token), []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return jwt.Claims{}, fmt.Errorf("%w: %w", ErrTokenForm, err)
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return jwt.Claims{}, fmt.Errorf("%w: %w", ErrTokenForm, err)
	}
	now := i.now()
	switch {
	case claims.Issuer != IssuerURL:
		return jwt.Claims{}, ErrIssuer
	case parsed.Claims(i.public, &claims) != nil:
		return jwt.Claims{}, ErrSignature
	case !slices.Contains(claims.Audience, Audience):
		return jwt.Claims{}, ErrAudience
	case claims.Expiry == nil || !now.Before(claims.Expiry.Time()) || claims.NotBefore != nil && now.Before(claims.NotBefore.Time()), i.hasExpired(claims):
		return jwt.Claims{}, ErrExpired
	case claims.Subject != Subject:
		return jwt.Claims{}, ErrSubject
	}
	return claims, nil
}
