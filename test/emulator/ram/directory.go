package ram

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"sync"
	"time"
)

const (
	// AccountID owns everything.
	AccountID = "1234567890123456"
	// RoleName is the account's one role.
	RoleName = "ratify-role"
	// RoleARN names the role where it is assumed.
	RoleARN = "acs:ram::" + AccountID + ":role/" + RoleName
	// ProviderARN names the account's one OIDC identity provider, which trusts the cluster's issuer.
	ProviderARN = "acs:ram::" + AccountID + ":oidc-provider/ack-rrsa-" + clusterID
	// roleID is the role's id in the reply of AssumeRole calls.
	roleID = "300123456789012345"
)

// What may be wrong with an access key and its security token.
var (
	ErrUnknownKey      = errors.New("no such access key")
	ErrTokenMissing    = errors.New("a session's key without its security token")
	ErrTokenUnexpected = errors.New("a security token with a key that has none")
	ErrTokenMismatch   = errors.New("another session's security token")
	ErrTokenExpired    = errors.New("the session has ended")
)

// Principal is who makes a request.
type Principal struct {
	Role    string    // the assumed role; empty for the account's own access keys, which may do everything
	Session string    // the role session's name
	Expires time.Time // the session's end; zero for an access key
}

// Session is what assuming a role gives.
type Session struct {
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string
	Expires         time.Time
	RoleID          string // "<role id>:<session name>"
	ARN             string
}

type key struct {
	principal Principal
	secret    string
	token     string // empty: a key of the account
}

// Directory knows the account's keys and sessions. It is safe for concurrent use.
type Directory struct {
	Issuer *Issuer
	now    func() time.Time

	mu     sync.Mutex
	keys   map[string]key
	nonces map[string]time.Time // access key id and nonce → when it may be forgotten
}

// NewDirectory returns a directory with the role, its provider and no keys.
func NewDirectory(now func() time.Time) (*Directory, error) {
	issuer, err := newIssuer(now)
	if err != nil {
		return nil, err
	}
	return &Directory{Issuer: issuer, now: now, keys: map[string]key{}, nonces: map[string]time.Time{}}, nil
}

// AddAccessKey makes a key of the account itself.
func (d *Directory) AddAccessKey() (id, secret string) {
	id, secret = "LTAI5t"+rand.Text()[:18], rand.Text()+rand.Text()[:4]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[id] = key{secret: secret}
	return id, secret
}

// NewSession starts a session of the role. Its end is in whole seconds, as it is announced.
func (d *Directory) NewSession(name string, lifetime time.Duration) Session {
	now := d.now()
	token := make([]byte, 384) // real tokens are about this long
	_, _ = rand.Read(token)    // never fails
	s := Session{
		AccessKeyID:     "STS." + rand.Text()[:25],
		AccessKeySecret: rand.Text() + rand.Text()[:18],
		SecurityToken:   "CAIS" + base64.StdEncoding.EncodeToString(token),
		Expires:         now.Add(lifetime).UTC().Truncate(time.Second),
		RoleID:          roleID + ":" + name,
		ARN:             RoleARN + "/" + name,
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[s.AccessKeyID] = key{
		principal: Principal{Role: RoleName, Session: name, Expires: s.Expires},
		secret:    s.AccessKeySecret,
		token:     s.SecurityToken,
	}
	return s
}

// EndSessions ends all sessions at once.
func (d *Directory) EndSessions() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, k := range d.keys {
		if k.token != "" {
			k.principal.Expires = time.Time{}
			d.keys[id] = k
		}
	}
}

// Identify returns whose access key and security token these are, and the secret to check a signature with. Its errors are
// the ones of this package.
func (d *Directory) Identify(accessKeyID, securityToken string) (Principal, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, found := d.keys[accessKeyID]
	switch {
	case !found:
		return Principal{}, "", ErrUnknownKey
	case k.token == "" && securityToken != "":
		return Principal{}, "", ErrTokenUnexpected
	case k.token != "" && securityToken == "":
		return Principal{}, "", ErrTokenMissing
	case k.token != securityToken:
		return Principal{}, "", ErrTokenMismatch
	case k.token != "" && !d.now().Before(k.principal.Expires):
		return Principal{}, "", ErrTokenExpired
	}
	return k.principal, k.secret, nil
}

// UseNonce returns false if the key's owner has used the nonce before, and remembers it for the time given.
func (d *Directory) UseNonce(accessKeyID, nonce string, remember time.Duration) bool {
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for used, until := range d.nonces {
		if now.After(until) {
			delete(d.nonces, used)
		}
	}
	used := accessKeyID + " " + nonce
	if _, found := d.nonces[used]; found {
		return false
	}
	d.nonces[used] = now.Add(remember)
	return true
}
