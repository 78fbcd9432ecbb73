package ram

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// TestTrust has a real cluster sign: with RSA, as ACK's do.
func TestTrust(t *testing.T) {
	directory, err := NewDirectory(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	own, err := directory.Issuer.Token(TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	clusters, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: IssuerURL, Subject: Subject, Audience: jwt.Audience{Audience}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Issuer.Authorize(clusters); !errors.Is(err, ErrSignature) {
		t.Errorf("a cluster's token, before it is trusted: got %v, want %v", err, ErrSignature)
	}
	directory.Issuer.Trust(key.Public())
	if claims, err := directory.Issuer.Authorize(clusters); err != nil || claims.Subject != Subject {
		t.Errorf("a trusted cluster's token: claims %+v, error %v", claims, err)
	}
	if _, err := directory.Issuer.Authorize(own); !errors.Is(err, ErrSignature) {
		t.Errorf("the emulator's own token, when a cluster has the key: got %v, want %v", err, ErrSignature)
	}
	if _, err := directory.Issuer.Token(TokenOptions{}); !errors.Is(err, ErrNotOurs) {
		t.Errorf("a token of the emulator's, when a cluster has the key: got %v, want %v", err, ErrNotOurs)
	}
}

func TestExpire(t *testing.T) {
	now := time.Now()
	issuer, err := newIssuer(func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	old, err := issuer.Token(TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	issuer.Expire()
	fresh, err := issuer.Token(TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := issuer.Authorize(old); !errors.Is(err, ErrExpired) {
		t.Errorf("a token from before: got %v, want %v", err, ErrExpired)
	}
	if _, err := issuer.Authorize(fresh); err != nil {
		t.Errorf("a token from after: %v", err)
	}
}
