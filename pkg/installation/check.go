package installation

import (
	"context"
	"fmt"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Finding is what was looked at, and what was found.
type Finding struct {
	About string // such as "Store store-oras"
	Note  string // what is to be known although nothing is wrong
	Err   error  // nil: it is right
}

// NewClient returns a client for Check.
func NewClient(api *rest.Config) (client.Reader, error) {
	api = rest.CopyConfig(api)
	api.Timeout = callTimeout
	reader, err := client.New(api, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("a client of the API server: %w", err)
	}
	return reader, nil
}

// Check looks at everything once.
func Check(ctx context.Context, reader client.Reader) []Finding {
	return append(checkProviders(ctx, reader), checkResources(ctx, reader)...)
}
