package signing

import (
	"crypto"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// holder is a signer that only has the public half: the authority needs no more to issue a certificate for a key.
type holder struct{ key crypto.PublicKey }

func (h holder) Public() crypto.PublicKey { return h.key }

func (holder) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	panic("the private half is in KMS")
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

type authority struct{ root, intermediate signing.Identity }

func newAuthority() authority {
	root := must(signing.Root("root"))
	return authority{root, must(root.Intermediate("intermediate"))}
}

// issue returns the chain of a key.
func (a authority) issue(key crypto.PublicKey, o signing.Options) []*x509.Certificate {
	o.Signer = holder{key}
	return must(a.intermediate.Issue("signer", o)).Chain
}

func (w *world) write(t *testing.T, chain certificate.Chain) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chain.pem")
	if err := os.WriteFile(path, chain.Encode(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCACerts(t *testing.T) {
	a := newAuthority()
	for _, way := range ways {
		w := newWorld(t, way)
		for _, spec := range []string{"RSA_2048", "EC_P256"} {
			id := w.addKey(t, emulated.KeyOptions{Spec: spec})
			chain := a.issue(w.KMS().PublicKey(id, ""), signing.Options{})
			path := w.write(t, certificate.Chain{Certificates: []*x509.Certificate{chain[2], chain[0], chain[1]}})
			w.calls()
			if got := w.sign(t, id, "ca_certs", path); !reflect.DeepEqual(got, chain) {
				t.Errorf("%s %s: %d certificates, not leaf to root", way.name, spec, len(got))
			}
			calls := w.calls()
			if calls[way.sign] != 1 || len(calls) > 2 || calls["ListKeyVersions"] > 1 {
				t.Errorf("%s %s: calls %v, want one signature and at most one look-up", way.name, spec, calls)
			}
			if entries := must(os.ReadDir(w.dir)); len(entries) > 0 {
				t.Errorf("%s %s: written: %v", way.name, spec, entries)
			}
			der := filepath.Join(t.TempDir(), "chain.der")
			if err := os.WriteFile(der, append(append(append([]byte(nil), chain[1].Raw...), chain[0].Raw...), chain[2].Raw...), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := w.sign(t, id, "ca_certs", der); !reflect.DeepEqual(got, chain) {
				t.Errorf("%s %s: DER: %d certificates", way.name, spec, len(got))
			}
		}
	}
}

func TestCACertsOfSeveralKeys(t *testing.T) {
	a := newAuthority()
	for _, way := range ways {
		w := newWorld(t, way)
		one, two := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"}), w.addKey(t, emulated.KeyOptions{})
		first, second := a.issue(w.KMS().PublicKey(one, ""), signing.Options{}), a.issue(w.KMS().PublicKey(two, ""), signing.Options{})
		path := w.write(t, certificate.Chain{Certificates: append([]*x509.Certificate{second[0]}, first...)})
		if got := w.sign(t, one, "ca_certs", path); !reflect.DeepEqual(got, first) {
			t.Errorf("%s: %d certificates", way.name, len(got))
		}
		if got := w.sign(t, two, "ca_certs", path); !reflect.DeepEqual(got, second) {
			t.Errorf("%s: %d certificates", way.name, len(got))
		}
	}
}

func TestCACertsThatDoNotFit(t *testing.T) {
	a := newAuthority()
	for _, way := range ways {
		w := newWorld(t, way)
		id, ec := w.addKey(t, emulated.KeyOptions{}), w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
		key := w.KMS().PublicKey(id, "")
		whole := a.issue(key, signing.Options{})
		for name, tt := range map[string]struct {
			chain []*x509.Certificate
			want  []string
		}{
			"no root":        {whole[:2], []string{"CN=root", "is missing", "append it"}},
			"no leaf":        {whole[1:], []string{"can only issue others"}},
			"expired":        {a.issue(key, signing.Options{Validity: signing.Validity{From: w.now.AddDate(-1, 0, 0), To: w.now.Add(-time.Hour)}}), []string{"expired on"}},
			"not yet valid":  {a.issue(key, signing.Options{Validity: signing.Validity{From: w.now.Add(time.Hour), To: w.now.AddDate(1, 0, 0)}}), []string{"valid only from"}},
			"for servers":    {a.issue(key, signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), []string{"ServerAuth"}},
			"for encryption": {a.issue(key, signing.Options{KeyUsage: x509.KeyUsageKeyEncipherment}), []string{"Digital Signature"}},
			"another key":    {a.issue(rsaKeys()[1].Public(), signing.Options{}), []string{"CN=signer", "is not for key " + id}},
			"an EC key":      {a.issue(w.KMS().PublicKey(ec, ""), signing.Options{}), []string{"EC-256"}},
		} {
			t.Run(way.name+" "+name, func(t *testing.T) {
				_, err := w.generate(t, id, plugin.KeySpecRSA2048, "ca_certs", w.write(t, certificate.Chain{Certificates: tt.chain}))
				checkFailure(t, err, plugin.ErrorCodeValidation, append(tt.want, "plugin-config ca_certs", "chain.pem")...)
			})
		}
		// As describe-key goes by the certificate, that of a key of another kind gets further.
		path := w.write(t, certificate.Chain{Certificates: a.issue(w.KMS().PublicKey(ec, ""), signing.Options{})})
		spec, err := w.describe(t, id, "ca_certs", path)
		if err != nil || spec != plugin.KeySpecEC256 {
			t.Errorf("%s, %v", spec, err)
		}
		_, err = w.generate(t, id, spec, "ca_certs", path)
		checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config ca_certs", "CN=signer", "is not for key "+id)

		_, err = w.describe(t, id, "ca_certs", "/absent/chain.pem")
		checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config ca_certs", "/absent/chain.pem")
	}
}

func TestCACertsOfAnotherVersion(t *testing.T) {
	w, a := newWorld(t, ways[0]), newAuthority()
	id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
	w.sign(t, id)
	version := must(certificate.Read(w.file())).Origin.Version
	path := w.write(t, certificate.Chain{Certificates: a.issue(w.KMS().PublicKey(id, version), signing.Options{})})
	if _, err := w.KMS().AddKeyVersion(id); err != nil {
		t.Fatal(err)
	}
	_, err := w.generate(t, id, plugin.KeySpecEC256, "ca_certs", path)
	checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config ca_certs", "plugin-config key_version")
	w.calls()
	w.sign(t, id, "ca_certs", path, "key_version", version)
	if calls := w.calls(); !reflect.DeepEqual(calls, map[string]int{"AsymmetricSign": 1}) {
		t.Errorf("calls %v, want one signature only", calls)
	}
}

func TestCertSecret(t *testing.T) {
	a := newAuthority()
	for _, way := range ways {
		w := newWorld(t, way)
		id := w.addKey(t, emulated.KeyOptions{})
		_, err := w.generate(t, id, plugin.KeySpecRSA2048, "cert_secret", "signer")
		checkFailure(t, err, plugin.ErrorCodeValidation, "secret signer", "certificate create --id "+id)

		chain := a.issue(w.KMS().PublicKey(id, ""), signing.Options{})
		w.KMS().PutSecret("signer", string(certificate.Chain{Certificates: chain}.Encode()))
		if got := w.sign(t, id, "cert_secret", "signer"); !reflect.DeepEqual(got, chain) {
			t.Errorf("%s: %d certificates", way.name, len(got))
		}

		w.sign(t, id) // what the plugin made may be put into a secret, and says which version of the key it is for
		own := must(os.ReadFile(w.file()))
		w.KMS().PutSecret("signer", string(own))
		w.calls()
		if got := w.sign(t, id, "cert_secret", "signer"); !got[0].Equal(must(certificate.Parse(own)).Leaf()) {
			t.Errorf("%s: another certificate", way.name)
		}
		if calls := w.calls(); !reflect.DeepEqual(calls, map[string]int{"GetSecretValue": 2, way.sign: 1}) {
			t.Errorf("%s: calls %v", way.name, calls)
		}

		w.KMS().PutSecret("signer", "hush")
		_, err = w.describe(t, id, "cert_secret", "signer")
		checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config cert_secret signer", "neither certificates")
		if strings.Contains(err.Error(), "hush") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

func TestCertSecretOfAnotherKeyThanTheAliasIsNow(t *testing.T) {
	w := newWorld(t, ways[0])
	old := w.addKey(t, emulated.KeyOptions{Alias: "alias/signer"})
	w.sign(t, "alias/signer")
	w.KMS().PutSecret("signer", string(must(os.ReadFile(w.file()))))
	w.KMS().DeleteKey(old)
	w.addKey(t, emulated.KeyOptions{Alias: "alias/signer", Material: rsaKeys()[1]})
	_, err := w.generate(t, "alias/signer", plugin.KeySpecRSA2048, "cert_secret", "signer")
	checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config cert_secret signer", "the text before the certificate")
}
