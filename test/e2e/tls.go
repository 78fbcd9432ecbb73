package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// checkTLS asks Ratify beside Gatekeeper, and lets both sides' certificates change.
func checkTLS(ctx context.Context, e *environment) error {
	good, _, err := e.push(ctx, scenario.Demo, "tls/good", scenario.SignedJWS)
	if err != nil {
		return err
	}
	bad, _, err := e.push(ctx, scenario.Demo, "tls/bad", scenario.Unsigned)
	if err != nil {
		return err
	}
	stranger, err := signing.Root("stranger")
	if err != nil {
		return err
	}
	client, err := stranger.Issue("gatekeeper", signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return err
	}
	own, err := e.gatekeeperCertificate(ctx)
	if err != nil {
		return err
	}
	e.check(ctx, "who shows Gatekeeper's certificate is answered", func(ctx context.Context) error { return e.ask(ctx, good, own) })
	for _, who := range []struct {
		what         string
		certificates []tls.Certificate
	}{
		{"who shows no certificate is refused", nil},
		{"who shows a stranger's certificate, as well", []tls.Certificate{{Certificate: [][]byte{client.Chain[0].Raw}, PrivateKey: client.Key}}},
	} {
		e.check(ctx, who.what, func(ctx context.Context) error {
			err := e.ask(ctx, good, who.certificates...)
			var alert tls.AlertError
			if !errors.As(err, &alert) {
				return fmt.Errorf("want a TLS alert, got %w", err)
			}
			return nil
		})
	}
	e.check(ctx, "Ratify's certificate is replaced: no admission fails", func(ctx context.Context) error {
		before, err := e.servingCertificate(ctx)
		if err != nil {
			return err
		}
		probe, err := e.startProbe(ctx, good, bad)
		if err != nil {
			return err
		}
		// What cert-controller does when the certificate is near its end, it does when there is none.
		_, err = e.kubectl(ctx, "patch", "secret", "ratify-tls", "--namespace", ratifyNamespace, "--type=merge", "--patch", `{"data": {"tls.crt": "", "tls.key": "", "ca.crt": "", "ca.key": ""}}`)
		if err == nil {
			err = eventually(ctx, 2*time.Minute, func(ctx context.Context) error {
				if now, err := e.servingCertificate(ctx); err != nil || now == before {
					return errors.Join(errors.New("the certificate is still the old one"), err)
				}
				return nil
			})
		}
		return errors.Join(err, probe.stop(0))
	})
	return nil
}

// gatekeeperCertificate returns the certificate that Gatekeeper shows its providers, which is its webhook's.
func (e *environment) gatekeeperCertificate(ctx context.Context) (tls.Certificate, error) {
	part := func(name string) ([]byte, error) {
		text, err := e.kubectl(ctx, "get", "secret", "gatekeeper-webhook-server-cert", "--namespace", gatekeeperNamespace,
			"--output", `jsonpath={.data.`+strings.ReplaceAll(name, ".", `\.`)+`}`)
		if err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(text)
	}
	certificate, err := part("tls.crt")
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := part("tls.key")
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// connection returns how Gatekeeper connects: to the Service, trusting what the Provider says.
func (e *environment) connection(ctx context.Context, certificates ...tls.Certificate) (*tls.Config, string, error) {
	bundle, err := e.kubectl(ctx, "get", "providers.externaldata.gatekeeper.sh", "ratify-provider", "--output", "jsonpath={.spec.caBundle}")
	if err != nil {
		return nil, "", err
	}
	ca, err := base64.StdEncoding.DecodeString(bundle)
	if err != nil {
		return nil, "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, "", errors.New("the Provider's caBundle has no certificate")
	}
	ip, err := e.kubectl(ctx, "get", "service", "ratify", "--namespace", ratifyNamespace, "--output", "jsonpath={.spec.clusterIP}")
	return &tls.Config{RootCAs: roots, Certificates: certificates, ServerName: "ratify." + ratifyNamespace, MinVersion: tls.VersionTLS13},
		net.JoinHostPort(ip, "6001"), err
}

// ask asks about an image as Gatekeeper does, and returns an error unless it is verified.
func (e *environment) ask(ctx context.Context, image string, certificates ...tls.Certificate) error {
	config, address, err := e.connection(ctx, certificates...)
	if err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	answer, err := gatekeeper.Ask(ctx, &http.Client{Transport: transport, Timeout: 10 * time.Second}, "https://"+address, image)
	if err == nil && !answer.Verdicts[image] {
		err = fmt.Errorf("not verified: %s", answer.Text)
	}
	return err
}

// servingCertificate returns the serial number of the certificate that Ratify shows.
func (e *environment) servingCertificate(ctx context.Context) (string, error) {
	config, address, err := e.connection(ctx)
	if err != nil {
		return "", err
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}
