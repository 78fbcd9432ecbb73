package main

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const (
	// gatekeeperSecret has Gatekeeper's authority (ca.crt, ca.key) and its certificate (tls.crt, tls.key), for its webhook and its providers.
	gatekeeperSecret = "gatekeeper-webhook-server-cert"
	gatekeeperName   = "gatekeeper-webhook-service." + gatekeeperNamespace + ".svc"

	// mounted is how long the kubelet may take to write a changed Secret to its pods, and these to read it: with syncFrequency: 10s up to 15 s.
	mounted = time.Minute
)

// checkGatekeeperCA lets Gatekeeper's certificate and its authority change, in the ways that they can.
func checkGatekeeperCA(ctx context.Context, e *environment, good, bad string) error {
	pod, err := e.ratifyPod(ctx)
	if err != nil {
		return err
	}
	e.check(ctx, "Gatekeeper renews its certificate: no admission fails", func(ctx context.Context) error {
		probe, err := e.startProbe(ctx, good, bad)
		if err != nil {
			return err
		}
		return errors.Join(e.renewGatekeeper(ctx, good, object{"tls.crt": "", "tls.key": ""}), probe.stop(0))
	})
	e.check(ctx, "Gatekeeper's authority is replaced, with both trusted meanwhile: no admission fails, and the old one is refused after", func(ctx context.Context) error {
		old, err := e.gatekeeperCertificate(ctx)
		if err != nil {
			return err
		}
		probe, err := e.startProbe(ctx, good, bad)
		if err != nil {
			return err
		}
		err = e.replaceGatekeeperCA(ctx, good)
		return errors.Join(err, e.refusesClient(ctx, good, old), probe.stop(0))
	})
	e.check(ctx, "Gatekeeper makes itself an authority: signed images are admitted again within seconds, and the old one is refused", func(ctx context.Context) error {
		old, err := e.gatekeeperCertificate(ctx)
		if err != nil {
			return err
		}
		probe, err := e.startProbe(ctx, good, bad)
		if err != nil {
			return err
		}
		// It tells the API server of the new authority at once, and shows a certificate of it when the kubelet has written that to its pod:
		// between them nothing reaches Gatekeeper. After that Ratify has to be told.
		err = e.renewGatekeeper(ctx, good, object{"ca.crt": "", "ca.key": "", "tls.crt": "", "tls.key": ""})
		err = errors.Join(err, e.refusesClient(ctx, good, old),
			eventually(ctx, mounted, func(ctx context.Context) error { return e.admitted(ctx, "default", good) }), probe.stop(mounted))
		var own, others int
		for _, f := range probe.failures {
			if strings.Contains(f, "failed calling webhook") {
				own++
			} else {
				others++
			}
		}
		e.say("of the failed attempts %d did not reach Gatekeeper, %d did", own, others)
		return err
	})
	now, err := e.ratifyPod(ctx)
	if err == nil && now != pod {
		err = errors.New("the pod of Ratify is another one: it had to restart")
	}
	return err
}

// renewGatekeeper empties values of Gatekeeper's Secret, which it fills at once, copies its authority to Ratify's, and waits until Gatekeeper
// shows the new certificate, and Ratify takes it.
func (e *environment) renewGatekeeper(ctx context.Context, image string, data object) error {
	before, err := e.secret(ctx, gatekeeperNamespace, gatekeeperSecret, "tls.crt")
	if err != nil {
		return err
	}
	if err := e.patchSecret(ctx, gatekeeperNamespace, gatekeeperSecret, data); err != nil {
		return err
	}
	if err := eventually(ctx, time.Minute, func(ctx context.Context) error {
		now, err := e.secret(ctx, gatekeeperNamespace, gatekeeperSecret, "tls.crt")
		if err == nil && (len(now) == 0 || string(now) == string(before)) {
			err = errors.New("no certificate was made by Gatekeeper")
		}
		return err
	}); err != nil {
		return err
	}
	// Nothing can be written while the API server does not trust Gatekeeper's webhook.
	if err := eventually(ctx, mounted, e.copyGatekeeperCA); err != nil {
		return err
	}
	return e.gatekeeperShows(ctx, image)
}

// replaceGatekeeperCA replaces the authority as a person does who may not have an admission fail: whoever trusts the old one trusts the
// new one, too, before anything is shown that it issued, and the old one goes last.
func (e *environment) replaceGatekeeperCA(ctx context.Context, image string) error {
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	// Gatekeeper takes an authority by this name that is good for three months and more, and a key of RSA in the form PKCS #1.
	authority, err := signing.New("gatekeeper-ca", signing.Options{Authority: true, Key: signing.RSA2048,
		Subject: &pkix.Name{CommonName: "gatekeeper-ca", Organization: []string{"gatekeeper"}},
		Change:  func(c *x509.Certificate) { c.DNSNames = []string{"gatekeeper-ca"} }})
	if err != nil {
		return err
	}
	leaf, err := authority.Issue("gatekeeper", signing.Options{Key: signing.RSA2048, ExtKeyUsage: usages, Subject: &pkix.Name{CommonName: gatekeeperName},
		Change: func(c *x509.Certificate) { c.DNSNames = []string{gatekeeperName} }})
	if err != nil {
		return err
	}
	old, err := e.secret(ctx, gatekeeperNamespace, gatekeeperSecret, "ca.crt")
	if err != nil {
		return err
	}
	both := authority.PEM() + string(old)
	pair := tls.Certificate{Certificate: [][]byte{leaf.Chain[0].Raw}, PrivateKey: leaf.Key}
	if err := e.patchSecret(ctx, ratifyNamespace, "gatekeeper-ca", object{"ca.crt": encoded(both)}); err != nil {
		return err
	}
	if err := eventually(ctx, mounted, func(ctx context.Context) error { return e.ask(ctx, image, pair) }); err != nil {
		return fmt.Errorf("the new authority is not taken by Ratify beside the old one: %w", err)
	}
	if err := e.patchSecret(ctx, gatekeeperNamespace, gatekeeperSecret, object{
		"ca.crt": encoded(both), "ca.key": encoded(pkcs1(authority)), "tls.crt": encoded(leaf.PEM()), "tls.key": encoded(pkcs1(leaf)),
	}); err != nil {
		return err
	}
	if err := e.gatekeeperShows(ctx, image); err != nil {
		return err
	}
	now, err := e.gatekeeperCertificate(ctx)
	if err != nil {
		return err
	}
	if string(now.Certificate[0]) != string(pair.Certificate[0]) {
		return errors.New("the certificate that Gatekeeper was given has not been kept")
	}
	for namespace, name := range map[string]string{gatekeeperNamespace: gatekeeperSecret, ratifyNamespace: "gatekeeper-ca"} {
		if err := e.patchSecret(ctx, namespace, name, object{"ca.crt": encoded(authority.PEM())}); err != nil {
			return err
		}
	}
	return nil
}

// gatekeeperShows waits until Gatekeeper's webhook, and so its questions to Ratify, have the certificate of the Secret, and Ratify takes it.
func (e *environment) gatekeeperShows(ctx context.Context, image string) error {
	want, err := e.gatekeeperCertificate(ctx)
	if err != nil {
		return err
	}
	ip, err := e.kubectl(ctx, "get", "service", "gatekeeper-webhook-service", "--namespace", gatekeeperNamespace, "--output", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return err
	}
	return eventually(ctx, mounted, func(ctx context.Context) error {
		// Which certificate it is, is the question; nothing is sent.
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", net.JoinHostPort(ip, "443"))
		if err != nil {
			return err
		}
		defer conn.Close()
		if string(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw) != string(want.Certificate[0]) {
			return errors.New("the former certificate is still shown by Gatekeeper")
		}
		return e.ask(ctx, image, want)
	})
}

// refusesClient waits until Ratify refuses a client's certificate.
func (e *environment) refusesClient(ctx context.Context, image string, certificate tls.Certificate) error {
	return eventually(ctx, mounted, func(ctx context.Context) error { return refusedByTLS(e.ask(ctx, image, certificate)) })
}

func pkcs1(i signing.Identity) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(i.Key.(*rsa.PrivateKey))}))
}

// encoded returns a value as Secrets have it.
func encoded(value string) string { return base64.StdEncoding.EncodeToString([]byte(value)) }
