package authprovider

import (
	"errors"

	upstream "github.com/ratify-project/ratify/pkg/common/oras/authprovider"
)

// ErrNotCovered says that the provider has no say in a registry, so that a store may pull from it anonymously or ask
// another provider. The text of the error that wraps it tells why, and what to use instead.
var ErrNotCovered = errors.New("registry not covered by the auth provider")

// RefusalHandler is implemented by auth providers that want to know that a registry refused what they provided.
type RefusalHandler interface {
	// Refused takes credentials that the registry answered with 401 or 403. It drops them from the provider's cache, so
	// that the next Provide brings new ones, and returns an explanation for the user (whose credentials were used, why,
	// and how to configure others), or "".
	Refused(artifact string, refused upstream.AuthConfig) string
}
