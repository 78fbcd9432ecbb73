package authprovider

import (
	"context"
	"errors"
	"time"
)

// ErrNotCovered says that the provider has no say in a registry, so that a store may pull from it anonymously or ask
// another provider. The text of the error that wraps it tells why, and what to use instead.
var ErrNotCovered = errors.New("registry not covered by the auth provider")

// AuthProvider knows the credentials of registries. Ratify's own interface of that name has a package around it that links a client of all of
// Kubernetes, a megabyte.
type AuthProvider interface {
	// Provide returns the credentials for an artifact, host[:port]/repository with or without tag and digest. The error wraps ErrNotCovered if the
	// provider has no say in the host; any other one says that it could not be found out.
	Provide(ctx context.Context, artifact string) (AuthConfig, error)
}

// AuthConfig is what an AuthProvider says of a registry: user and password, or an identity token.
type AuthConfig struct {
	Username, Password, IdentityToken string
	// ExpiresOn is when the provider is to be asked again.
	ExpiresOn time.Time
}

// RefusalHandler is implemented by auth providers that want to know that a registry refused what they provided.
type RefusalHandler interface {
	// Refused takes credentials that the registry answered with 401 or 403. It drops them from the provider's cache, so
	// that the next Provide brings new ones, and returns an explanation for the user (whose credentials were used, why,
	// and how to configure others), or "".
	Refused(artifact string, refused AuthConfig) string
}
