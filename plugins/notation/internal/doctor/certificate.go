package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
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
	remedy := "give " + from + " the certificate that an authority issued for the key, and those of its issuers up to the root"
	if folder {
		remedy = "the next signature comes with another certificate, which verifiers must be given as a trust anchor; to keep this one, set output_cert_dir to another directory"
	}
	var ordered = chain.Certificates
	if d.signer != nil {
		ordered, err = certificate.Order(chain.Certificates, d.signer.Public(), d.now)
	} else {
		ordered, err = certificate.Order(chain.Certificates, nil, d.now)
	}
	if err == nil {
		err = certificate.Check(ordered, d.now)
	}
	if err != nil {
		d.line(fail, "certificate", "%s: %v; %s", from, err, remedy)
		return
	}
	belongs := "belongs to the key"
	if d.signer == nil {
		belongs = "whose key it is was not checked"
	}
	leaf := ordered[0]
	days := int(leaf.NotAfter.Sub(d.now).Hours() / 24)
	if soon := certificate.EndsSoon(ordered, d.now); soon != "" {
		d.line(warn, "certificate", "%s: %s; make or request the next one now, and give it to verifiers before you sign with it", from, soon)
		return
	}
	d.line(ok, "certificate", "%s: %s, serial number %s, %s, %d days left", from, printable.Line(leaf.Subject.String()), certificate.Serial(leaf), belongs, days)
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
	if err != nil {
		d.line(fail, "certificate", "%v; set output_cert_dir to a directory that can be written to", err)
		return
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if err != nil {
		d.line(fail, "certificate", "%v", err)
		return
	}
	d.line(ok, "certificate", "none yet in %s; the first signature makes one, which verifiers then need as a trust anchor", d.settings.OutputCertDir)
}
