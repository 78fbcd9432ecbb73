package signing

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

func (w *world) file() string { return filepath.Join(w.dir, certificate.FileName) }

func TestCertificateIsMadeOnceAndCostsNothingAgain(t *testing.T) {
	for _, way := range ways {
		for _, spec := range []string{"RSA_2048", "EC_P256"} {
			t.Run(way.name+" "+spec, func(t *testing.T) {
				w := newWorld(t, way)
				id := w.addKey(t, emulated.KeyOptions{Spec: spec, Alias: "alias/signer"})
				first := w.sign(t, id)
				if text := w.notices.take(); !strings.Contains(text, "trust anchor") {
					t.Errorf("notices %q", text)
				}
				if subject := first[0].Subject.String(); subject != "CN=notation,OU=Ack,O=AlibabaCloud,C=CN" {
					t.Errorf("subject %s", subject)
				}
				w.calls()
				for _, name := range []string{id, "alias/signer"} {
					if name != id { // the first time by another name, the certificate must be found out to be the key's
						w.sign(t, name)
						w.calls()
					}
					again := w.sign(t, name)
					if !reflect.DeepEqual(again, first) {
						t.Errorf("%s: another certificate", name)
					}
					if calls := w.calls(); !reflect.DeepEqual(calls, map[string]int{way.lookUp: 1, way.sign: 1}) {
						t.Errorf("%s: calls %v, want one look-up and one signature", name, calls)
					}
				}
				if text := w.notices.take(); text != "" {
					t.Errorf("notices %q", text)
				}
			})
		}
	}
}

func TestCertificateOfTheOfficialPluginIsUsed(t *testing.T) {
	for _, way := range ways {
		w := newWorld(t, way)
		id := w.addKey(t, emulated.KeyOptions{})
		cert, err := certificate.Create(rsaKeys()[0], certificate.Options{Subject: certificate.DefaultSubject(), Validity: certificate.DefaultValidity, Now: w.now})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.file(), certificate.Chain{Certificates: []*x509.Certificate{cert}}.Encode(), 0o644); err != nil {
			t.Fatal(err)
		}
		if chain := w.sign(t, id); !chain[0].Equal(cert) {
			t.Errorf("%s: another certificate", way.name)
		}
		w.calls()
		w.sign(t, id)
		if calls := w.calls(); !reflect.DeepEqual(calls, map[string]int{way.lookUp: 1, way.sign: 1}) {
			t.Errorf("%s: calls %v, want one look-up and one signature", way.name, calls)
		}
	}
}

func TestKeysShareADirectory(t *testing.T) {
	w := newWorld(t, ways[0])
	ids := []string{w.addKey(t, emulated.KeyOptions{}), w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"}), w.addKey(t, emulated.KeyOptions{Material: rsaKeys()[1]})}
	of := make(map[string][]*x509.Certificate)
	for range 2 {
		for _, id := range ids {
			chain := w.sign(t, id)
			if of[id] != nil && !reflect.DeepEqual(of[id], chain) {
				t.Errorf("%s: another certificate", id)
			}
			of[id] = chain
		}
	}
	for _, chain := range of {
		name := "signer-" + certificate.Serial(chain[0]) + ".crt"
		if _, err := os.Stat(filepath.Join(w.dir, name)); err != nil && !chain[0].Equal(of[ids[2]][0]) {
			t.Errorf("lost: %v", err)
		}
	}
}

func TestAliasMoves(t *testing.T) {
	w := newWorld(t, ways[0])
	old := w.addKey(t, emulated.KeyOptions{Alias: "alias/signer"})
	before := w.sign(t, "alias/signer")
	w.KMS().DeleteKey(old)
	w.addKey(t, emulated.KeyOptions{Alias: "alias/signer", Material: rsaKeys()[1]})
	after := w.sign(t, "alias/signer")
	if text := w.notices.take(); after[0].Equal(before[0]) || !strings.Contains(text, "kept as") {
		t.Errorf("notices %q", text)
	}
}

func TestVersionsOfAKey(t *testing.T) {
	w := newWorld(t, ways[0])
	id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
	first := w.sign(t, id)
	version, err := w.KMS().AddKeyVersion(id)
	if err != nil {
		t.Fatal(err)
	}
	if again := w.sign(t, id); !again[0].Equal(first[0]) {
		t.Error("a new version of the key took the place of the certificate's")
	}
	w.calls()
	second := w.sign(t, id, "key_version", version)
	if !certificate.SameKey(second[0].PublicKey, w.KMS().PublicKey(id, version)) {
		t.Error("key_version was not heeded")
	}
	w.calls()
	w.sign(t, id, "key_version", version)
	if calls := w.calls(); !reflect.DeepEqual(calls, map[string]int{"GetPublicKey": 1, "AsymmetricSign": 1}) {
		t.Errorf("calls %v, want one look-up and one signature", calls)
	}
	w.now = second[0].NotAfter.Add(-time.Hour)
	if renewed := w.sign(t, id); !certificate.SameKey(renewed[0].PublicKey, second[0].PublicKey) || renewed[0].Equal(second[0]) {
		t.Error("the new certificate is not one of the newest version")
	}
	if _, err := w.describe(t, id, "key_version", "absent"); err == nil || !strings.Contains(err.Error(), "KeyVersionNotFound") {
		t.Errorf("absent version: %v", err)
	}
}

func TestBothProtocolsUseOneCertificate(t *testing.T) {
	w := newWorld(t, ways[1])
	id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
	first := w.sign(t, id)
	for _, kind := range []string{"access_key", "client_key", "access_key"} {
		if again := w.sign(t, id, "credential_type", kind); !again[0].Equal(first[0]) {
			t.Errorf("%s: another certificate", kind)
		}
	}
	w.calls()
	w.sign(t, id, "credential_type", "access_key")
	if calls := w.calls(); !reflect.DeepEqual(calls, map[string]int{"DescribeKey": 1, "AsymmetricSign": 1}) {
		t.Errorf("calls %v, want one look-up and one signature", calls)
	}
}

func TestSubjectAndValidity(t *testing.T) {
	w := newWorld(t, ways[0])
	id := w.addKey(t, emulated.KeyOptions{})
	const subject = "C=CN,ST=Zhejiang,O=Example,CN=release"
	chain := w.sign(t, id, "cert_subject", subject, "cert_validity", "90d")
	if got := chain[0].Subject.String(); got != "CN=release,O=Example,ST=Zhejiang,C=CN" {
		t.Error(got)
	}
	if days := int(chain[0].NotAfter.Sub(w.now).Round(time.Hour).Hours() / 24); days != 90 {
		t.Errorf("valid for %d days", days)
	}
	w.sign(t, id, "cert_subject", subject)
	w.sign(t, id)
	_, err := w.generate(t, id, plugin.KeySpecRSA2048, "cert_subject", "C=CN,ST=Zhejiang,O=Other")
	checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config cert_subject", "signer.crt", "CN=release")

	w.now = chain[0].NotAfter.AddDate(0, 0, -10)
	w.notices.take()
	w.sign(t, id)
	if got := w.notices.take(); !strings.Contains(got, "ends in 10 days") {
		t.Errorf("notices %q", got)
	}
}

func TestRenewedCertificatesKeepTheirSubject(t *testing.T) {
	w := newWorld(t, ways[0])
	id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
	other := w.addKey(t, emulated.KeyOptions{})
	first := w.sign(t, id, "cert_subject", "C=CN,ST=Zhejiang,O=Example,CN=release")
	if chain := w.sign(t, other); chain[0].Subject.String() == first[0].Subject.String() {
		t.Error("another key's certificate has the subject")
	}
	w.now = first[0].NotAfter.Add(-time.Hour)
	if renewed := w.sign(t, id); renewed[0].Equal(first[0]) || renewed[0].Subject.String() != first[0].Subject.String() {
		t.Errorf("renewed: %s, was %s", renewed[0].Subject, first[0].Subject)
	}
}

func TestSignersAtOnce(t *testing.T) {
	w := newWorld(t, ways[0])
	id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
	var wg sync.WaitGroup
	serials := make([]string, 4)
	for i := range serials {
		wg.Go(func() { serials[i] = certificate.Serial(w.sign(t, id)[0]) })
	}
	wg.Wait()
	for _, serial := range serials {
		if serial != serials[0] {
			t.Errorf("different certificates: %v", serials)
		}
	}
	if n := strings.Count(w.notices.take(), "trust anchor"); n != 1 {
		t.Errorf("%d notices of a new certificate", n)
	}
}

func TestDirectoryThatCannotBeUsed(t *testing.T) {
	w := newWorld(t, ways[0])
	id := w.addKey(t, emulated.KeyOptions{})
	_, err := w.generate(t, id, plugin.KeySpecRSA2048, "output_cert_dir", filepath.Join(w.dir, "absent"))
	checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config output_cert_dir", "absent", "a directory that can be written to")
	if err := os.WriteFile(w.file(), []byte("notes of mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = w.generate(t, id, plugin.KeySpecRSA2048)
	checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config output_cert_dir", "signer.crt", "move it away")
}

// forger changes signatures on the way.
type forger struct{ kms.Client }

func (f forger) Sign(ctx context.Context, keyID, version string, algorithm kms.Algorithm, digest [32]byte) (kms.Signature, error) {
	signature, err := f.Client.Sign(ctx, keyID, version, algorithm, digest)
	if err == nil {
		signature.Value[len(signature.Value)-1] ^= 1
	}
	return signature, err
}

func TestForgedSignaturesAreNotReturned(t *testing.T) {
	w := newWorld(t, ways[0])
	id := w.addKey(t, emulated.KeyOptions{})
	w.between = func(c kms.Client) kms.Client { return forger{c} }
	_, err := w.generate(t, id, plugin.KeySpecRSA2048)
	checkFailure(t, err, plugin.ErrorCodeGeneric, "proxy")
	w.between = nil
	first := w.sign(t, id)
	w.between = func(c kms.Client) kms.Client { return forger{c} }
	_, err = w.generate(t, id, plugin.KeySpecRSA2048)
	checkFailure(t, err, plugin.ErrorCodeGeneric, "does not verify", "proxy")
	w.between = nil
	if again := w.sign(t, id); !again[0].Equal(first[0]) {
		t.Error("a forged signature had the certificate replaced")
	}
}
