package commands

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
)

func newCertificate() *cobra.Command {
	cmd := &cobra.Command{Use: "certificate", Aliases: []string{"cert"}, Short: "Make and look at certificates of KMS keys", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newCreate(), newShow())
	return cmd
}

// create is the flags of certificate create.
type create struct {
	target
	output, subject, validity string
	csr, force                bool
}

func newCreate() *cobra.Command {
	var o create
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Make a certificate for a KMS key, or a request for one",
		Long: `Make a self-signed code signing certificate for a KMS key; or with --csr a request
with which an authority issues one. KMS signs it, which takes one signature.

notation sign makes a self-signed certificate by itself where there is none. Make it
beforehand to hand it to verifiers first, or to keep it in a KMS secret.`,
		Example: `  ` + Name + ` certificate create --id key-hzz6… --subject "C=CN,ST=Zhejiang,O=Example,CN=signer"
  ` + Name + ` certificate create --id key-hzz6… --csr --output signer.csr`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.addTo(cmd, "that the certificate is for")
	require(cmd, "id")
	flags := cmd.Flags()
	flags.BoolVar(&o.csr, "csr", false, "make a certificate signing request (PKCS #10)")
	flags.StringVar(&o.output, "output", "", "`file` to write (default "+certificate.FileName+" in output_cert_dir; with --csr, "+requestFile+")")
	flags.StringVar(&o.subject, "subject", "", "distinguished `name` with C, ST and O (default "+certificate.DefaultSubject().String()+")")
	flags.StringVar(&o.validity, "validity", "", "`duration` such as 365d or 8760h (default 365d)")
	flags.BoolVar(&o.force, "force", false, "replace the file if it exists")
	return cmd
}

func (o create) run(cmd *cobra.Command) error {
	if o.csr && o.validity != "" {
		return errors.New("--validity and --csr exclude each other: the authority decides how long the certificate is valid")
	}
	ctx, cancel, s, err := o.open(cmd.Context())
	if err != nil {
		return err
	}
	defer cancel()
	if err := o.complete(s); err != nil {
		return err
	}
	if err := checkNew(o.output, o.force); err != nil {
		return err
	}
	signer, err := s.signer(ctx, s.KeyVersion)
	if err != nil {
		return err
	}
	if o.csr {
		return o.request(cmd, s, signer.Within(ctx))
	}
	return o.selfSigned(ctx, cmd, s, signer)
}

// complete fills in what was not given by flags.
func (o *create) complete(s *session) error {
	if o.output == "" {
		o.output = certificate.Folder(s.OutputCertDir).Path()
		if o.csr {
			o.output = requestFile
		}
	}
	if o.subject != "" {
		subject, err := certificate.ParseSubject(o.subject)
		if err != nil {
			return fmt.Errorf("--subject: %w", err)
		}
		s.CertSubject = &subject
	}
	if s.CertSubject == nil {
		subject := certificate.DefaultSubject()
		s.CertSubject = &subject
	}
	if o.validity != "" {
		var err error
		if s.CertValidity, err = certificate.ParseValidity(o.validity); err != nil {
			return fmt.Errorf("--validity: %w", err)
		}
	}
	return nil
}

func (o create) selfSigned(ctx context.Context, cmd *cobra.Command, s *session, signer *kms.Signer) error {
	cert, err := certificate.Create(signer.Within(ctx), certificate.Options{Subject: *s.CertSubject, Validity: s.CertValidity, Now: time.Now()})
	if err != nil {
		return err
	}
	key := signer.PublicKey()
	chain := certificate.Chain{Certificates: []*x509.Certificate{cert}, Origin: certificate.Origin{Key: key.KeyID, Version: key.Version}}
	if o.id != key.KeyID {
		chain.Origin.Alias = o.id
	}
	if err := write(o.output, chain.Encode(), 0o644, o.force); err != nil {
		return err
	}
	identity := `"x509.subject: ` + printable.Line(cert.Subject.String()) + `"`
	if len(cert.Subject.Province) == 0 {
		identity = `"*", as its subject has no ST`
	}
	use := "ca_certs=" + o.output
	if filepath.Base(o.output) == certificate.FileName {
		use = "output_cert_dir=" + filepath.Dir(o.output)
	}
	fmt.Fprintf(cmd.OutOrStdout(), `Wrote %s: a self-signed certificate for key %s.
Subject %s
Serial number %s, valid until %s

Verifiers need it as a trust anchor, before you sign with it:
  notation:  notation cert add --type ca --store NAME %s
  Ratify:    notationCerts of the Helm chart, or a KeyManagementProvider
  and in the trust policy, as trusted identity: %s
Sign with it:
  notation sign --plugin alibabacloud.secretmanager.plugin --id %s \
    --plugin-config %s IMAGE@DIGEST
To share it among signers, store the file's content in a KMS secret and sign with
  --plugin-config cert_secret=SECRET
`, o.output, o.id, printable.Line(cert.Subject.String()), certificate.Serial(cert), cert.NotAfter.UTC().Format(time.RFC3339), o.output, identity, o.id, use)
	return nil
}
