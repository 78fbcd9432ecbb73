package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// Credential is what a registry or its token service takes: a user name and a password, or an identity token (the OAuth2
// refresh token of https://distribution.github.io/distribution/spec/auth/oauth/). The zero value is for anonymous access.
type Credential struct {
	Username, Password, IdentityToken string
}

// Grant is a Source's word on a registry.
type Grant struct {
	Credential Credential
	Provider   string // who gave the credential; for errors
	Note       string // why there is no credential; for errors
}

// Source says what to present to a registry.
type Source interface {
	// Grant returns the credential for the registry that holds artifact ("host[:port]/repository"), or one that is empty if it may be
	// pulled anonymously. An error means neither: the pull must fail.
	Grant(ctx context.Context, artifact string) (Grant, error)
	// Refused is told that the registry did not take the grant. It forgets it, so that the next Grant asks the provider anew, and returns
	// the provider's explanation for the user, or "".
	Refused(artifact string, refused Grant) string
}

// anonymous tells whether there is nothing to present.
func (g Grant) anonymous() bool { return g.Credential == Credential{} }

// id names the credential without telling it.
func (c Credential) id() string {
	sum := sha256.Sum256([]byte(c.Username + "\x00" + c.Password + "\x00" + c.IdentityToken))
	return hex.EncodeToString(sum[:])
}
