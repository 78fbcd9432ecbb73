package doctor

import (
	"context"
	"crypto"
	"errors"
	"io/fs"
	"os"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// certificate checks the certificate that signatures come with, as far as possible without the key.
func (d *doctor) certificate(ctx context.Context) {
	from, chain, err := d.chain(ctx)
	folder := d.settings.CACerts == "" && d.settings.CertSecret == ""
	switch {
	case from == "":
		return
	case folder && errors.Is(err, fs.ErrNotExist):
		d.folder()
		return
	case err != nil:
		d.line(fail, "certificate", "%v", err)
		return
	}
	remedy := "give " + from + " a certificate for this key, and those of its issuers up to the root"
	if folder {
		remedy = "the next signature will come with another certificate, which verifiers must be given as a trust anchor"
	}
	var key crypto.PublicKey
	if d.signer != nil {
		key = d.signer.Public()
	}
	ordered, err := certificate.Order(chain.Certificates, key, d.now)
	if err == nil {
		err = certificate.Check(ordered, d.now)
	}
	if err != nil {
		d.line(fail, "certificate", "%s: %v; %s", from, err, remedy)
		return
	}
	if soon := certificate.EndsSoon(ordered, d.now); soon != "" {
		d.line(warn, "certificate", "%s: %s; make or request the next one now, and give it to verifiers before you sign with it", from, soon)
		return
	}
	belongs := "belongs to the key"
	if key == nil {
		belongs = "whether it belongs to the key was not checked"
	}
	leaf := ordered[0]
	d.line(ok, "certificate", "%s: %s, serial number %s, %d days left; %s", from, leaf.Subject, certificate.Serial(leaf),
		int(leaf.NotAfter.Sub(d.now).Hours()/24), belongs)
}

// chain reads the certificates. An empty from says that a line has been printed.
func (d *doctor) chain(ctx context.Context) (from string, chain certificate.Chain, err error) {
	switch s := d.settings; {
	case s.CACerts != "":
		chain, err = certificate.Read(s.CACerts)
		return "ca_certs", chain, err
	case s.CertSecret == "":
		folder := certificate.Folder(s.OutputCertDir)
		chain, err = certificate.Read(folder.Path())
		return folder.Path(), chain, err
	case d.client == nil || !d.reached:
		d.line(skip, "certificate", "the secret %s cannot be read", s.CertSecret)
		return "", chain, nil
	default:
		secret, err := d.client.Secret(ctx, s.CertSecret, kms.SecretVersion{})
		if err == nil {
			chain, err = certificate.Parse(secret.Data)
		}
		return "cert_secret", chain, err
	}
}

// folder checks that the first signature can put its certificate where it should be.
func (d *doctor) folder() {
	probe, err := os.CreateTemp(d.settings.OutputCertDir, ".doctor-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		d.line(fail, "certificate", "there is none yet, and it cannot be put into %s: %v; set %s to a directory that can be written to",
			d.settings.OutputCertDir, cause(err), settings.Key("output_cert_dir"))
		return
	}
	d.line(ok, "certificate", "none yet in %s; the first signature makes one, which verifiers then need as a trust anchor", d.settings.OutputCertDir)
}

// cause is why a file could not be written, without its name, which is a random one.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
