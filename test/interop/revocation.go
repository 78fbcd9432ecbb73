package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for certificates that were revoked after they signed.
var revocationRows = []row{
	{"Revocation", "OCSP: revoked, and unreachable", revocation(func(r *signing.Responder) signing.Options {
		return signing.Options{OCSP: []string{r.OCSP()}}
	})},
	{"Revocation", "CRL: revoked, and unreachable", revocation(func(r *signing.Responder) signing.Options {
		return signing.Options{CRL: []string{r.CRL()}}
	})},
}

// revocation returns a row's work for a way to ask which certificates are revoked.
func revocation(ask func(*signing.Responder) signing.Options) func(context.Context, *environment) error {
	return func(ctx context.Context, e *environment) error {
		root, err := signing.Root("Revoking Root CA")
		if err != nil {
			return err
		}
		responder := signing.NewResponder(root)
		defer responder.Close()
		leaf, err := root.Issue("releases", ask(responder))
		if err != nil {
			return err
		}
		if err := e.addIdentity("releases", leaf); err != nil {
			return err
		}
		repository := "revocation/ocsp"
		if len(leaf.Certificate().CRLDistributionPoints) > 0 {
			repository = "revocation/crl"
		}
		image, err := e.push(ctx, scenario.Demo, repository)
		if err != nil {
			return err
		}
		if err := e.sign(ctx, "releases", image); err != nil {
			return err
		}
		t := trust{policy: everywhere("strict", "ca:roots"), stores: map[string]string{"ca:roots": root.PEM()}}
		if err := e.agree(ctx, t, image, true, "signed by CN=releases"); err != nil {
			return err
		}
		if responder.Asked() == 0 {
			return fmt.Errorf("%s was admitted without asking whether its signer is revoked", image.ref)
		}

		responder.SetFault(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		config, err := e.config(t)
		if err != nil {
			return err
		}
		if err := e.cannotTell(ctx, config, image.ref, "revocation status of certificate CN=releases", "is unknown"); err != nil {
			return err
		}
		responder.SetFault(nil)

		responder.Revoke(leaf.Certificate())
		return e.agree(ctx, t, image, false, "is revoked")
	}
}
