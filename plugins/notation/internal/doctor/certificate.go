package doctor

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// there is where the certificate of signatures is, and what is there.
type there struct {
	from   string // for people
	chain  certificate.Chain
	origin certificate.Origin // of the certificate, if signing heeds it
	err    error              // why there is no chain
	asked  bool               // false if what has it could not be asked
}

// given tells whether the certificate is not this plugin's to make.
func (d *doctor) given() bool { return d.settings.CACerts != "" || d.settings.CertSecret != "" }

// look reads the certificates.
func (d *doctor) look(ctx context.Context) (t there) {
	t.asked = true
	switch s := d.settings; {
	case s.CACerts != "":
		t.from = "ca_certs"
		t.chain, t.err = certificate.Read(s.CACerts)
		t.origin = t.chain.Origin
	case s.CertSecret == "":
		folder := certificate.Folder(s.OutputCertDir)
		t.from = folder.Path()
		t.chain, t.err = certificate.Read(t.from)
		if current, err := folder.Current(d.now); err == nil {
			t.origin = current.Origin
		}
	case d.client == nil || !d.reached:
		t.from, t.asked = "the secret "+s.CertSecret, false
	default:
		t.from = "cert_secret"
		var secret kms.Secret
		if secret, t.err = d.client.Secret(ctx, s.CertSecret, kms.SecretVersion{}); t.err == nil {
			t.chain, t.err = certificate.Parse(secret.Data)
		}
		t.origin = t.chain.Origin
	}
	return t
}

// certificate checks the certificate that signatures come with, as far as possible without the key.
func (d *doctor) certificate() {
	switch t := d.there; {
	case !t.asked:
		d.line(skip, "certificate", "%s cannot be read", t.from)
	case !d.given() && errors.Is(t.err, fs.ErrNotExist) && d.signer == nil:
		d.folder("there is none yet", ok)
	case !d.given() && d.signer != nil:
		d.own()
	case t.err != nil:
		d.line(fail, "certificate", "%v", t.err)
	default:
		d.judge()
	}
}

// own checks the certificate that this plugin makes, as signing will.
func (d *doctor) own() {
	key := d.signer.PublicKey()
	chain, err := certificate.Folder(d.settings.OutputCertDir).Find(certificate.Need{Key: key.Key, Origin: certificate.Origin{Key: key.KeyID, Version: key.Version}, Now: d.now})
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(err, certificate.ErrMissing):
		d.folder("there is none yet", ok)
	case errors.Is(err, certificate.ErrMissing):
		d.folder(fmt.Sprintf("%s: %v", d.there.from, err), warn)
	case err != nil:
		d.line(fail, "certificate", "%v", err)
	default:
		d.there.chain = chain
		d.judge()
	}
}

// judge tells whether notation and verifiers accept the certificate.
func (d *doctor) judge() {
	from := d.there.from
	var key crypto.PublicKey
	if d.signer != nil {
		key = d.signer.Public()
	}
	chain, err := certificate.Order(d.there.chain.Certificates, key, d.now)
	if err == nil {
		err = certificate.Check(chain, d.now)
	}
	switch {
	case err != nil && !d.given():
		d.line(warn, "certificate", "%s: %v; whether signing fails or makes another one depends on the key: give it with --id", from, err)
		return
	case err != nil:
		d.line(fail, "certificate", "%s: %v; give %s a certificate for this key, and those of its issuers up to the root", from, err, from)
		return
	}
	leaf := chain[0]
	if want := d.settings.CertSubject; want != nil && leaf.Subject.String() != want.String() {
		d.line(fail, "certificate", "%s is of %q and %s asks for %q; move the certificate away to have another one made, or leave the key out", from,
			leaf.Subject, settings.Key("cert_subject"), want)
		return
	}
	if soon := certificate.EndsSoon(chain, d.now); soon != "" {
		d.line(warn, "certificate", "%s: %s; make or request the next one now, and give it to verifiers before you sign with it", from, soon)
		return
	}
	belongs := "belongs to the key"
	if key == nil {
		belongs = "whether it belongs to the key was not checked"
	}
	d.line(ok, "certificate", "%s: %s, serial number %s, %d days left; %s", from, leaf.Subject, certificate.Serial(leaf),
		int(leaf.NotAfter.Sub(d.now).Hours()/24), belongs)
}

// folder checks that the next signature can put its certificate where it should be.
func (d *doctor) folder(why, word string) {
	probe, err := os.CreateTemp(d.settings.OutputCertDir, ".doctor-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		d.line(fail, "certificate", "%s, and a new one cannot be put into %s: %v; set %s to a directory that can be written to",
			why, d.settings.OutputCertDir, cause(err), settings.Key("output_cert_dir"))
		return
	}
	d.line(word, "certificate", "%s; the next signature makes one in %s, which verifiers then need as a trust anchor", why, d.settings.OutputCertDir)
}

// cause is why a file could not be written, without its name, which is a random one.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
