package commands

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/golden"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// succeed runs a command that must succeed, and returns what it printed.
func (w world) succeed(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := w.run(t, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("%v: exit code %d, %s", args, code, stderr)
	}
	return stdout
}

// refuse runs a command that must fail with an error that has want in it, and returns what it printed.
func (w world) refuse(t *testing.T, want string, args ...string) string {
	t.Helper()
	stdout, stderr, code := w.run(t, args...)
	if code != 1 || !strings.HasPrefix(stderr, "Error: ") || !strings.Contains(stderr, want) {
		t.Errorf("%v: exit code %d, %s; want %q", args, code, stderr, want)
	}
	return stdout
}

func TestCreate(t *testing.T) {
	for name, clientKey := range map[string]bool{"OpenAPI": false, "ClientKey": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, clientKey)
			subject := "C=CN,ST=Zhejiang,O=Example,CN=signer"
			for id, key := range map[string]crypto.Signer{rsaID: w.rsa, ecAlias: w.ec} {
				file := filepath.Base(id) + ".crt"
				text := w.succeed(t, "certificate", "create", "--id", id, "--output", file, "--subject", subject, "--validity", "90d")
				golden.Compare(t, "create_"+filepath.Base(id), same(text))
				chain, err := certificate.Read(filepath.Join(w.dir, file))
				if err != nil {
					t.Fatal(err)
				}
				cert := chain.Leaf()
				if err := certificate.Check(chain.Certificates, time.Now()); err != nil || !certificate.SameKey(cert.PublicKey, key.Public()) {
					t.Errorf("%s: not a certificate of the key for signing: %v", id, err)
				}
				if left := time.Until(cert.NotAfter).Round(time.Hour); left != 90*24*time.Hour || cert.Subject.String() != "CN=signer,O=Example,ST=Zhejiang,C=CN" {
					t.Errorf("%s: %s, valid for %s", id, cert.Subject, left)
				}
				if !chain.Origin.Names(id) || (chain.Origin.Version == "") != clientKey {
					t.Errorf("%s: the text before the certificate says %+v", id, chain.Origin)
				}
			}
		})
	}
}

func TestCreateDefaults(t *testing.T) {
	w := newWorld(t, true)
	golden.Compare(t, "create_default", same(w.succeed(t, "certificate", "create", "--id", ecID)))
	before := w.read(t, certificate.FileName)
	w.refuse(t, "signer.crt exists", "certificate", "create", "--id", ecID)
	w.refuse(t, "signer.crt exists", "certificate", "create", "--id", ecID, "--plugin-config", "output_cert_dir="+w.dir)
	if string(w.read(t, certificate.FileName)) != string(before) {
		t.Error("the file was replaced without --force")
	}
	w.succeed(t, "certificate", "create", "--id", ecID, "--force", "--plugin-config", "cert_subject=C=CN,ST=Zhejiang,O=Example", "--plugin-config", "cert_validity=30d")
	chain, err := certificate.Parse(w.read(t, certificate.FileName))
	if err != nil || chain.Leaf().Subject.String() != "O=Example,ST=Zhejiang,C=CN" || time.Until(chain.Leaf().NotAfter) > 30*24*time.Hour {
		t.Errorf("%v, %v", chain.Leaf().Subject, err)
	}
}

// What came while KMS signed is not replaced, either.
func TestWriteReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signer.crt")
	if err := write(path, []byte("first"), 0o600, false); err != nil {
		t.Fatal(err)
	}
	if err := write(path, []byte("second"), 0o600, false); err == nil || !strings.Contains(err.Error(), "exists; choose another --output, or --force") {
		t.Error(err)
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "first" {
		t.Errorf("%q, %v", content, err)
	}
	if err := write(path, nil, 0o600, true); err != nil {
		t.Error(err)
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t, true)
	w.addKey(t, kms.KeyOptions{ID: "key-k", Spec: "EC_P256K", Instance: instance})
	for want, args := range map[string][]string{
		`required flag(s) "id" not set`:           {},
		"--subject: \"CN=a\" lacks C":             {"--id", ecID, "--subject", "CN=a"},
		`--validity: "1y" is not a duration`:      {"--id", ecID, "--validity", "1y"},
		"--validity and --csr exclude each other": {"--id", ecID, "--csr", "--validity", "30d"},
		"use a key of spec RSA_2048 or EC_P256":   {"--id", "key-k"},
		"Forbidden.KeyNotFound":                   {"--id", "key-absent"},
		"--plugin-config region: want key=value":  {"--id", ecID, "--plugin-config", "region"},
		"the key is given twice":                  {"--id", ecID, "--plugin-config", "timeout=9s", "--plugin-config", "timeout=8s"},
		"did you mean timeout?":                   {"--id", ecID, "--plugin-config", "timeot=9s"},
		"absent":                                  {"--id", ecID, "--output", "absent/signer.crt"},
		`unknown command "extra"`:                 {"--id", ecID, "extra"},
	} {
		w.refuse(t, want, append([]string{"certificate", "create"}, args...)...)
	}
	if left, err := filepath.Glob(filepath.Join(w.dir, "*signer*")); err != nil || len(left) > 0 {
		t.Errorf("a command that failed left %v, %v", left, err)
	}
}

// A request is what an authority needs to issue a certificate that signs.
func TestRequest(t *testing.T) {
	w := newWorld(t, true)
	root, err := signing.Root("root")
	if err != nil {
		t.Fatal(err)
	}
	for id, key := range map[string]crypto.Signer{rsaID: w.rsa, ecID: w.ec} {
		text := w.succeed(t, "certificate", "create", "--id", id, "--csr", "--output", id+".csr", "--subject", "C=CN,ST=Zhejiang,O=Example,CN=signer")
		golden.Compare(t, "request_"+id, text)
		block, rest := pem.Decode(w.read(t, id+".csr"))
		if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) > 0 {
			t.Fatalf("%s: not one block in PEM", id)
		}
		request, err := x509.ParseCertificateRequest(block.Bytes)
		if err == nil {
			err = request.CheckSignature()
		}
		if err != nil || !certificate.SameKey(request.PublicKey, key.Public()) || request.Subject.CommonName != "signer" {
			t.Errorf("%s: %v, of %v", id, err, request.Subject)
		}
		// An authority that issues what is asked for issues a code signing certificate.
		asked := &x509.Certificate{SerialNumber: root.Certificate().SerialNumber, Subject: request.Subject, NotBefore: time.Now().Add(-time.Minute),
			NotAfter: time.Now().Add(time.Hour), ExtraExtensions: request.Extensions}
		der, err := x509.CreateCertificate(nil, asked, root.Certificate(), request.PublicKey, root.Key)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if err := certificate.Check([]*x509.Certificate{leaf, root.Certificate()}, time.Now()); err != nil || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageCodeSigning {
			t.Errorf("%s: what the request asks for: %v, %v", id, leaf.ExtKeyUsage, err)
		}
	}
	w.succeed(t, "certificate", "create", "--id", ecID, "--csr")
	w.read(t, requestFile)
}

func TestShow(t *testing.T) {
	w := newWorld(t, false)
	root, err := signing.Root("root")
	if err != nil {
		t.Fatal(err)
	}
	other, err := signing.Root("other root")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue("signer", signing.Options{Signer: w.ec})
	if err != nil {
		t.Fatal(err)
	}
	reversed := root.PEM() + pemOf(leaf.Certificate())
	w.write(t, "chain.pem", []byte(reversed))
	w.write(t, "more.pem", []byte(reversed+other.PEM()))
	w.write(t, "root.pem", []byte(root.PEM()))
	w.write(t, "leaf.der", leaf.Certificate().Raw)
	w.write(t, "empty", nil)
	w.cloud.KMS().PutSecret("chain", reversed)
	w.cloud.KMS().PutSecret("text", "hello")
	w.succeed(t, "certificate", "create", "--id", rsaID)

	for name, args := range map[string][]string{
		"show_default": nil,
		"show_id":      {"signer.crt", "--id", rsaID},
		"show_chain":   {"chain.pem", "--id", ecAlias},
	} {
		golden.Compare(t, name, same(w.succeed(t, append([]string{"certificate", "show"}, args...)...)))
	}
	if text := w.succeed(t, "certificate", "show", "--secret", "chain", "--id", ecID); !strings.HasPrefix(text, "secret chain version ") ||
		!strings.Contains(text, "It belongs to key key-ec") {
		t.Errorf("of a secret: %s", text)
	}
	if text := w.succeed(t, "certificate", "show", "more.pem"); !strings.HasPrefix(text, "more.pem: 3 certificates, of which 2 are the chain") ||
		strings.Contains(text, "other root") {
		t.Errorf("of a chain with one more: %s", text)
	}
	if text := w.succeed(t, "certificate", "show", "--plugin-config", "cert_secret=chain"); !strings.HasPrefix(text, "secret chain version ") {
		t.Errorf("of cert_secret: %s", text)
	}
	for config, want := range map[string]string{"ca_certs=chain.pem": "chain.pem: 2", "output_cert_dir=" + w.dir: w.dir + "/signer.crt: 1"} {
		if text := w.succeed(t, "certificate", "show", "--plugin-config", config); !strings.HasPrefix(text, want) {
			t.Errorf("of %s: %s", config, text)
		}
	}
	// The certificate stays that of the version that it was made for.
	if _, err := w.cloud.KMS().AddKeyVersion(rsaID); err != nil {
		t.Fatal(err)
	}
	w.succeed(t, "certificate", "show", "--id", rsaID)

	w.addKey(t, kms.KeyOptions{ID: "key-k", Spec: "EC_P256K", Instance: instance})
	for want, args := range map[string][]string{
		"did you mean ca_certs?":                      {"--plugin-config", "ca_cert=chain.pem"},
		"cannot make Notation signatures":             {"signer.crt", "--id", "key-k"},
		"none of the certificates is for the KMS key": {"signer.crt", "--id", ecID},
		"which issued":                                {"leaf.der"},
		"no certificate of a signing key":             {"root.pem"},
		"empty: neither certificates":                 {"empty"},
		"no such file":                                {"absent.crt"},
		"Forbidden.ResourceNotFound":                  {"--secret", "absent"},
		"secret text version":                         {"--secret", "text"},
		"a FILE or --secret, not both":                {"signer.crt", "--secret", "chain"},
	} {
		w.refuse(t, want, append([]string{"certificate", "show"}, args...)...)
	}
	if text := w.refuse(t, "notation cannot sign with it", "certificate", "show", "root.pem"); !strings.Contains(text, "CN=root") {
		t.Errorf("a certificate that cannot sign is not shown: %s", text)
	}
}

func pemOf(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}
