package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
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
			return refusedByTLS(e.ask(ctx, good, who.certificates...))
		})
	}
	e.check(ctx, "Ratify's certificate is renewed: no admission fails", func(ctx context.Context) error {
		before, err := e.servingCertificate(ctx)
		if err != nil {
			return err
		}
		probe, err := e.startProbe(ctx, good, bad)
		if err != nil {
			return err
		}
		err = e.patchSecret(ctx, ratifyNamespace, "ratify-tls", object{"tls.crt": "", "tls.key": ""})
		if err == nil {
			err = eventually(ctx, time.Minute, func(ctx context.Context) error {
				now, err := e.servingCertificate(ctx)
				if err == nil && now == before {
					err = errors.New("the certificate is still the old one")
				}
				return err
			})
		}
		return errors.Join(err, probe.stop(0))
	})
	e.check(ctx, "the authority of Ratify's certificate nears its end: Gatekeeper is told the next, and no admission fails", func(ctx context.Context) error {
		ending, err := e.endingAuthority(ctx)
		if err != nil {
			return err
		}
		probe, err := e.startProbe(ctx, good, bad)
		if err != nil {
			return err
		}
		err = e.patchSecret(ctx, ratifyNamespace, "ratify-tls", object{"ca.crt": encoded(string(ending))})
		if err == nil {
			err = eventually(ctx, time.Minute, func(ctx context.Context) error {
				bundle, err := e.providerBundle(ctx)
				if err == nil && (strings.Count(string(bundle), "BEGIN CERTIFICATE") != 2 || strings.HasPrefix(string(bundle), string(ending))) {
					err = errors.New("the Provider does not have a new authority in front of the old one")
				}
				return err
			})
		}
		return errors.Join(err, probe.stop(0))
	})
	return checkGatekeeperCA(ctx, e, good, bad)
}

// endingAuthority returns the authority of Ratify's certificate with an end a day from now, and the key and all else as they are.
func (e *environment) endingAuthority(ctx context.Context) ([]byte, error) {
	certificate, err := e.secret(ctx, ratifyNamespace, "ratify-tls", "ca.crt")
	if err != nil {
		return nil, err
	}
	key, err := e.secret(ctx, ratifyNamespace, "ratify-tls", "ca.key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	ending := *pair.Leaf
	ending.NotAfter = time.Now().AddDate(0, 0, 1)
	der, err := x509.CreateCertificate(rand.Reader, &ending, &ending, pair.Leaf.PublicKey, pair.PrivateKey)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// patchSecret changes values of a Secret, in base64.
func (e *environment) patchSecret(ctx context.Context, namespace, name string, data object) error {
	patch, err := jsonText(object{"data": data})
	if err != nil {
		return err
	}
	_, err = e.kubectl(ctx, "patch", "secret", name, "--namespace", namespace, "--type=merge", "--patch", patch)
	return err
}

// secret returns a value of a Secret.
func (e *environment) secret(ctx context.Context, namespace, name, key string) ([]byte, error) {
	text, err := e.kubectl(ctx, "get", "secret", name, "--namespace", namespace, "--output", `jsonpath={.data.`+strings.ReplaceAll(key, ".", `\.`)+`}`)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// gatekeeperCertificate returns the certificate that Gatekeeper shows its providers, which is its webhook's.
func (e *environment) gatekeeperCertificate(ctx context.Context) (tls.Certificate, error) {
	certificate, err := e.secret(ctx, gatekeeperNamespace, gatekeeperSecret, "tls.crt")
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := e.secret(ctx, gatekeeperNamespace, gatekeeperSecret, "tls.key")
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}

// providerBundle returns the authorities that Gatekeeper verifies Ratify with.
func (e *environment) providerBundle(ctx context.Context) ([]byte, error) {
	text, err := e.kubectl(ctx, "get", "providers.externaldata.gatekeeper.sh", "ratify-provider", "--output", "jsonpath={.spec.caBundle}")
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(text)
}

// connection returns how Gatekeeper connects: to the Service, trusting what the Provider says.
func (e *environment) connection(ctx context.Context, certificates ...tls.Certificate) (*tls.Config, string, error) {
	ca, err := e.providerBundle(ctx)
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

// refusedByTLS is nil if an error is that of a question whose connection the server ended by an alert.
func refusedByTLS(err error) error {
	switch {
	case err == nil:
		return errors.New("it was answered")
	case !strings.Contains(err.Error(), "remote error: tls: "):
		return fmt.Errorf("want an alert of TLS, got %w", err)
	}
	return nil
}

// servingCertificate returns the certificate that Ratify shows. Serial numbers would not tell: they are all 1.
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
	return string(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw), nil
}
