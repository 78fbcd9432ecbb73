package acr

import "net/http"

// OpenRegistry returns a registry with the referrers API that asks for no authorization, for the emulators of other clouds.
func OpenRegistry() http.Handler { return newReferrersRegistry() }
