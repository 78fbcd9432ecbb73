package main

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for https://learn.microsoft.com/azure/container-registry/container-registry-tutorial-sign-build-push.
var azureRows = []row{
	{"Azure", "COSE, self-signed, subject and repository pinned", azureSelfSigned},
	{"Azure", "timestamped by the notation command", azureTimestamped},
	{"Azure", "timestamped, certificate expired since", azureExpired},
}

// azureSubject is the tutorial's CERT_SUBJECT.
const azureSubject = "CN=wabbit-networks.io,O=Notation,L=Seattle,ST=WA,C=US"

// azurePolicy is the tutorial's trust policy for a repository.
func azurePolicy(repository string) string {
	return fmt.Sprintf(`{ "version": "1.0", "trustPolicies": [ { "name": "wabbit-networks-images", "registryScopes": [ "%s" ],
		"signatureVerification": { "level" : "strict" }, "trustStores": [ "ca:wabbit-networks.io" ],
		"trustedIdentities": [ "x509.subject: %s" ] } ] }`, repository, azureSubject)
}

// azureTimestampPolicy is the same with a trust store of timestamping authorities.
func azureTimestampPolicy(verifyTimestamp string) string {
	return fmt.Sprintf(`{ "version": "1.0", "trustPolicies": [ { "name": "wabbit-networks-images", "registryScopes": [ "*" ],
		"signatureVerification": { "level" : "strict", "verifyTimestamp": %q },
		"trustStores": [ "ca:wabbit-networks.io", "tsa:timestamps" ], "trustedIdentities": [ "x509.subject: %s" ] } ] }`, verifyTimestamp, azureSubject)
}

// azureCertificate is what Key Vault makes of the tutorial's my_policy.json: issuer Self, RSA 2048, code signing, for 12 months.
func azureCertificate(name string, v signing.Validity) (signing.Identity, error) {
	return signing.New(name, signing.Options{Key: signing.RSA2048, Validity: v, Subject: &pkix.Name{
		CommonName: name, Organization: []string{"Notation"}, Locality: []string{"Seattle"}, Province: []string{"WA"}, Country: []string{"US"},
	}})
}

func azureSelfSigned(ctx context.Context, e *environment) error {
	wabbit, err := azureCertificate("wabbit-networks.io", signing.Validity{})
	if err != nil {
		return err
	}
	other, err := azureCertificate("other-networks.io", signing.Validity{})
	if err != nil {
		return err
	}
	for name, identity := range map[string]signing.Identity{"wabbit": wabbit, "other": other} {
		if err := e.addIdentity(name, identity); err != nil {
			return err
		}
	}
	monitor, err := e.push(ctx, scenario.Demo, "azure/net-monitor")
	if err != nil {
		return err
	}
	watcher, err := e.push(ctx, scenario.Demo, "azure/net-watcher")
	if err != nil {
		return err
	}
	t := trust{
		policy: azurePolicy(scenario.Demo.Host + "/azure/net-monitor"),
		stores: map[string]string{"ca:wabbit-networks.io": wabbit.PEM() + other.PEM()},
	}
	// The store has both certificates, but only one subject is pinned.
	if err := e.sign(ctx, "other", monitor, "--signature-format", "cose"); err != nil {
		return err
	}
	if err := e.agree(ctx, t, monitor, false, "CN=other-networks.io", "none of the trusted identities"); err != nil {
		return err
	}
	if err := e.sign(ctx, "wabbit", monitor, "--signature-format", "cose"); err != nil {
		return err
	}
	if err := e.agree(ctx, t, monitor, true, "CN=wabbit-networks.io"); err != nil {
		return err
	}
	if err := e.sign(ctx, "wabbit", watcher, "--signature-format", "cose", "--force-referrers-tag=false"); err != nil {
		return err
	}
	return e.agree(ctx, t, watcher, false, "no trust policy of the verifier covers the repository "+scenario.Demo.Host+"/azure/net-watcher")
}

// newTSA starts a timestamping authority and returns its root, too.
func newTSA(name string, clock func() time.Time) (*signing.TSA, signing.Identity, error) {
	root, err := signing.Root(name + " root")
	if err != nil {
		return nil, root, err
	}
	identity, err := root.Issue(name, signing.Options{Timestamping: true, Validity: signing.Validity{
		From: time.Now().AddDate(-5, 0, 0), To: time.Now().AddDate(5, 0, 0),
	}})
	if err != nil {
		return nil, root, err
	}
	tsa, err := signing.NewTSA(identity, clock)
	return tsa, root, err
}

func azureTimestamped(ctx context.Context, e *environment) error {
	wabbit, err := azureCertificate("wabbit-networks.io", signing.Validity{})
	if err != nil {
		return err
	}
	if err := e.addIdentity("wabbit", wabbit); err != nil {
		return err
	}
	tsa, root, err := newTSA("tsa", nil)
	if err != nil {
		return err
	}
	defer tsa.Close()
	strange, strangeRoot, err := newTSA("strange tsa", nil)
	if err != nil {
		return err
	}
	defer strange.Close()
	t := trust{policy: azureTimestampPolicy("always"), stores: map[string]string{"ca:wabbit-networks.io": wabbit.PEM(), "tsa:timestamps": root.PEM()}}
	for _, c := range []struct {
		repository string
		tsa        *signing.TSA
		root       signing.Identity
		admitted   bool
		says       string
	}{
		{"azure/timestamped", tsa, root, true, "CN=wabbit-networks.io"},
		{"azure/without-timestamp", nil, root, false, "no timestamp"},
		{"azure/strange-timestamp", strange, strangeRoot, false, "certificate signed by unknown authority"},
	} {
		image, err := e.push(ctx, scenario.Demo, c.repository)
		if err != nil {
			return err
		}
		flags := []string{"--signature-format", "cose"}
		if c.tsa != nil {
			path, err := e.write("tsa-root.pem", []byte(c.root.PEM()))
			if err != nil {
				return err
			}
			flags = append(flags, "--timestamp-url", c.tsa.URL(), "--timestamp-root-cert", path)
		}
		if err := e.sign(ctx, "wabbit", image, flags...); err != nil {
			return err
		}
		if err := e.agree(ctx, t, image, c.admitted, c.says); err != nil {
			return err
		}
	}
	return nil
}

// The notation command does not sign with an expired certificate, so that these signatures are made as it made them a year ago.
func azureExpired(ctx context.Context, e *environment) error {
	now := time.Now()
	then := now.AddDate(-1, 0, 0)
	wabbit, err := azureCertificate("wabbit-networks.io", signing.Validity{From: now.AddDate(-1, -6, 0), To: now.AddDate(0, -6, 0)})
	if err != nil {
		return err
	}
	past, root, err := newTSA("tsa", func() time.Time { return then })
	if err != nil {
		return err
	}
	defer past.Close()
	strange, _, err := newTSA("strange tsa", func() time.Time { return then })
	if err != nil {
		return err
	}
	defer strange.Close()
	for _, mode := range []string{"always", "afterCertExpiry"} {
		t := trust{policy: azureTimestampPolicy(mode), stores: map[string]string{"ca:wabbit-networks.io": wabbit.PEM(), "tsa:timestamps": root.PEM()}}
		for _, c := range []struct {
			name     string
			tsa      *signing.TSA
			admitted bool
			says     string
		}{
			{"in-time", past, true, "CN=wabbit-networks.io"},
			{"without-timestamp", nil, false, "no timestamp"},
			{"strange-timestamp", strange, false, "certificate signed by unknown authority"},
		} {
			image, err := e.push(ctx, scenario.Demo, "azure/expired/"+c.name+"-"+strings.ToLower(mode))
			if err != nil {
				return err
			}
			var envelope []byte
			if c.tsa == nil {
				envelope, err = wabbit.Envelope(image.desc, signing.COSE, then)
			} else {
				envelope, err = wabbit.TimestampedEnvelope(image.desc, signing.COSE, then, c.tsa)
			}
			if err != nil {
				return err
			}
			if err := wabbit.Attach(ctx, image.repo, image.desc, signing.COSE, envelope); err != nil {
				return err
			}
			if err := e.agree(ctx, t, image, c.admitted, c.says); err != nil {
				return err
			}
		}
	}
	return nil
}
