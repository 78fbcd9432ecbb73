package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"

	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// The rows for Akeyless' "Signing Images".
var akeylessRows = []row{
	{"Akeyless", "RSA-2048 of a CSR, localhost, plain HTTP, no referrers API", akeyless("rsa:2048")},
	{"Akeyless", "EC of a CSR, localhost, plain HTTP, no referrers API", akeyless("ec -pkeyopt ec_paramgen_curve:P-256")},
}

// akeylessCSR is the guide's csr.conf in openssl's own form.
const akeylessCSR = `
[ req ]
prompt             = no
distinguished_name = name
[ name ]
countryName            = US
stateOrProvinceName    = NY
localityName           = NY
organizationName       = Akeyless
organizationalUnitName = Security
commonName             = akeylessSign
[ v3_req ]
basicConstraints       = critical, CA:FALSE
keyUsage               = critical, digitalSignature
`

// akeylessPolicy is the guide's.
const akeylessPolicy = `{
 "version": "1.0",
 "trustPolicies": [
     {
         "name": "trust-policy-example",
         "registryScopes": [ "*" ],
         "signatureVerification": {
             "level" : "strict"
         },
         "trustStores": [ "ca:selfSigned" ],
         "trustedIdentities": [
             "*"
         ]
     }
 ]
}`

// akeyless returns a row's work for a kind of key.
func akeyless(newKey string) func(context.Context, *environment) error {
	return func(ctx context.Context, e *environment) error {
		csr, err := e.write("csr.conf", []byte(akeylessCSR))
		if err != nil {
			return err
		}
		for _, name := range []string{"CodeSign", "Another"} { // which have the same subject
			if err := e.openssl(ctx, fmt.Sprintf("req -x509 -newkey %s -nodes -days 30 -config %s -extensions v3_req -keyout %s.key -out %[3]s.pem",
				newKey, csr, name)); err != nil {
				return err
			}
			if err := e.addKey(name, filepath.Join(e.dir, name+".key"), filepath.Join(e.dir, name+".pem")); err != nil {
				return err
			}
		}
		anchor, err := e.read("CodeSign.pem")
		if err != nil {
			return err
		}
		host, end := plainRegistry(e.world)
		defer end()
		t := trust{
			policy: akeylessPolicy, stores: map[string]string{"ca:selfSigned": anchor},
			store: map[string]any{"name": "oras", "useHttp": true},
		}
		repo, err := remote.NewRepository(host + "/akeyless/" + strings.ToLower(newKey[:2]) + "/net-monitor")
		if err != nil {
			return err
		}
		repo.PlainHTTP = true
		image, err := pushTo(ctx, repo)
		if err != nil {
			return err
		}
		if err := e.agree(ctx, t, image, false, "no signature was found"); err != nil {
			return err
		}
		if err := e.sign(ctx, "Another", image); err != nil {
			return err
		}
		if err := e.agree(ctx, t, image, false, "no trust store holds the issuer of CN=akeylessSign,OU=Security,O=Akeyless,L=NY,ST=NY,C=US"); err != nil {
			return err
		}
		if err := e.sign(ctx, "CodeSign", image); err != nil {
			return err
		}
		return e.agree(ctx, t, image, true, "CN=akeylessSign,OU=Security,O=Akeyless,L=NY,ST=NY,C=US")
	}
}

// plainRegistry serves a registry without a referrers API, and without any authentication, on localhost over plain HTTP until end is called.
// Behind it is that of an emulated instance.
func plainRegistry(w *scenario.World) (host string, end func()) {
	server := httptest.NewServer(&httputil.ReverseProxy{
		Transport: w.Cloud.PushTransport(scenario.Legacy.ID),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "https", Host: scenario.Legacy.Host})
			r.SetXForwarded() // the registry's links lead back here
		},
	})
	return strings.Replace(strings.TrimPrefix(server.URL, "http://"), "127.0.0.1", "localhost", 1), server.Close
}
