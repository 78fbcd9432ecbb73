package rrsa

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"
)

// Source hands out credentials of one identity. It is safe for concurrent use.
type Source interface {
	// Credential returns credentials that are valid now.
	Credential(ctx context.Context) (Credential, error)
	// Forget makes the next Credential bring new ones if bad is still what would be handed out. It is for credentials that
	// a service refused as ended.
	Forget(bad Credential)
	// String says whose the credentials are and where they come from, for logs and errors.
	fmt.Stringer
}

// Credential is an access key or a session of a role. Printing or logging one does not show its secrets.
type Credential struct {
	AccessKeyID     string
	AccessKeySecret string
	SecurityToken   string    // empty for an access key
	Expires         time.Time // zero if unknown or never

	Provider string // the credential type, which the SDK reports in header x-acs-credentials-provider
}

// String returns the access key ID, which is no secret.
func (c Credential) String() string { return "credential " + c.AccessKeyID }

// GoString is String, so that %#v shows no secret.
func (c Credential) GoString() string { return c.String() }

// LogValue is what slog shows.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Secrets lists what must not appear in errors and logs.
func (c Credential) Secrets() []string { return []string{c.AccessKeySecret, c.SecurityToken} }

// OpenAPI returns c as what the OpenAPI SDK takes. It never changes, so that the key, secret and token of a request
// are always of the same session.
func (c Credential) OpenAPI() credentials.Credential { return fixed{c} }

// fixed is a Credential in the shape of credentials-go.
type fixed struct{ c Credential }

func (f fixed) GetCredential() (*credentials.CredentialModel, error) {
	m := &credentials.CredentialModel{
		AccessKeyId:     tea.String(f.c.AccessKeyID),
		AccessKeySecret: tea.String(f.c.AccessKeySecret),
		Type:            f.GetType(),
		ProviderName:    tea.String(f.c.Provider),
	}
	if f.c.SecurityToken != "" {
		m.SecurityToken = tea.String(f.c.SecurityToken)
	}
	return m, nil
}

func (f fixed) GetType() *string {
	if f.c.SecurityToken == "" {
		return tea.String("access_key")
	}
	return tea.String("sts")
}

func (f fixed) GetAccessKeyId() (*string, error)     { return tea.String(f.c.AccessKeyID), nil }
func (f fixed) GetAccessKeySecret() (*string, error) { return tea.String(f.c.AccessKeySecret), nil }
func (f fixed) GetSecurityToken() (*string, error)   { return tea.String(f.c.SecurityToken), nil }
func (f fixed) GetBearerToken() *string              { return tea.String("") }
