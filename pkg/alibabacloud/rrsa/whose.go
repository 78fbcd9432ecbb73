package rrsa

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Whose says whose the sessions are: all that decides which ones STS hands out, the token's issuer, subject and audience among it, and nothing
// that changes when the kubelet renews the token. It does not verify the token, as STS does. So the path of the token's file counts, too: a file elsewhere
// that merely says the same is not of the same. An error means that the token says nothing of the kind.
func (p *Provider) Whose() (string, error) {
	token, err := readToken(p.cfg.TokenFile)
	if err != nil {
		return "", err
	}
	claims, err := readClaims(token)
	if err != nil {
		return "", fmt.Errorf("OIDC token (%s): %w", EnvOIDCTokenFile, err)
	}
	return fmt.Sprintf("%q", slices.Concat([]string{p.cfg.RoleARN, p.cfg.OIDCProviderARN, p.cfg.SessionName, p.cfg.Endpoint, p.cfg.TokenFile}, claims)), nil
}

// readClaims returns the claims of a JSON Web Token that say whose it is, iss, sub and aud, as the token spells them: decoded texts of two identities
// may be the same, as decoders replace what is not Unicode. Its errors quote nothing of it.
func readClaims(token string) ([]string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("it is not a JSON Web Token, which has three parts")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var all map[string]json.RawMessage // unlike the fields of a struct, its keys match in one case only
	if err != nil || json.Unmarshal(payload, &all) != nil {
		return nil, errors.New("its claims are not base64url of a JSON object")
	}
	var issuer, subject, audience string
	var audiences []string // aud is a text or a list of them, see section 4.1.3 of RFC 7519
	if json.Unmarshal(all["aud"], &audience) == nil {
		audiences = []string{audience}
	} else if json.Unmarshal(all["aud"], &audiences) != nil {
		audiences = nil
	}
	if json.Unmarshal(all["iss"], &issuer) != nil || json.Unmarshal(all["sub"], &subject) != nil ||
		len(audiences) == 0 || slices.Contains(append(audiences, issuer, subject), "") {
		return nil, errors.New("it has no iss, no sub or no aud")
	}
	return []string{string(all["iss"]), string(all["sub"]), string(all["aud"])}, nil
}
