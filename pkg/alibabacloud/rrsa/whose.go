package rrsa

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Whose says whose the sessions are: all that decides which ones STS hands out, the token's issuer, subject and audience among it, and nothing
// that changes when the kubelet renews the token. It reads the token and does not verify it, as STS does. An error means that the token says
// nothing of the kind.
func (p *Provider) Whose() (string, error) {
	token, err := readToken(p.cfg.TokenFile)
	if err != nil {
		return "", err
	}
	claims, err := readClaims(token)
	if err != nil {
		return "", fmt.Errorf("OIDC token (%s): %w", EnvOIDCTokenFile, err)
	}
	whose, err := json.Marshal([]any{p.cfg.RoleARN, p.cfg.OIDCProviderARN, p.cfg.SessionName, p.cfg.Endpoint, claims})
	return string(whose), err
}

// claims are the claims of an OIDC token that say whose it is.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience any    `json:"aud"` // a text or several
}

// readClaims reads the claims of a JSON Web Token. Its errors quote nothing of it.
func readClaims(token string) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("it is not a JSON Web Token, which has three parts")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, errors.New("its claims are not base64url of a JSON object")
	}
	if c.Issuer == "" || c.Subject == "" || c.Audience == nil {
		return c, errors.New("it has no iss, no sub or no aud")
	}
	return c, nil
}
