package commands

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// show is the flags of certificate show.
type show struct {
	target
	secret string
}

func newShow() *cobra.Command {
	var o show
	cmd := &cobra.Command{
		Use:   "show [FILE]",
		Short: "Tell what a certificate is, and whether it is good for signing",
		Long: `Tell what a certificate is, and whether it is good for signing.

FILE is PEM or DER, and may hold a chain. Without FILE and --secret, show what signing
takes: ca_certs, cert_secret, or else signer.crt in output_cert_dir. With --id, check
also that the certificate belongs to the KMS key. Exits with 1 if it cannot sign.`,
		Example: `  ` + Name + ` certificate show signer.crt
  ` + Name + ` certificate show --secret signer --id key-hzz6…`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.secret != "" && len(args) > 0 {
				return errors.New("give a FILE or --secret, not both")
			}
			return o.run(cmd, strings.Join(args, ""))
		},
	}
	o.addTo(cmd, "that the certificate should belong to")
	cmd.Flags().StringVar(&o.secret, "secret", "", "`name` of the KMS secret that holds the certificate, instead of FILE")
	return cmd
}

func (o show) run(cmd *cobra.Command, path string) error {
	ctx := cmd.Context()
	if err := o.usual(&path); err != nil {
		return err
	}
	var s *session
	if o.secret != "" || o.id != "" {
		limited, cancel, opened, err := o.open(ctx)
		if err != nil {
			return err
		}
		defer cancel()
		ctx, s = limited, opened
	}
	from, chain, err := o.read(ctx, s, path)
	if err != nil {
		return err
	}
	var key crypto.PublicKey
	if o.id != "" {
		signer, err := s.signer(ctx, s.Version(o.id, chain.Origin))
		if err != nil {
			return err
		}
		key = signer.Public()
	}
	now, out := time.Now(), cmd.OutOrStdout()
	fmt.Fprintf(out, "%s: %s", from, count(len(chain.Certificates), "certificate"))
	ordered, problem := certificate.Order(chain.Certificates, key, now)
	if problem == nil {
		if len(ordered) < len(chain.Certificates) {
			fmt.Fprintf(out, ", of which %d are the chain of the signing key", len(ordered))
		}
		chain.Certificates = ordered
		problem = certificate.Check(ordered, now)
	}
	fmt.Fprintln(out)
	for _, cert := range chain.Certificates {
		describe(out, cert, now)
	}
	if origin := chain.Origin; origin.Key != "" {
		fmt.Fprintf(out, "\nKMS key %s, version %s, says the text before the certificate.\n", origin.Key, cmp.Or(origin.Version, "unknown"))
	}
	switch {
	case problem != nil:
		return fmt.Errorf("notation cannot sign with it: %w", problem)
	case key != nil:
		fmt.Fprintf(out, "\nNotation can sign with it. It belongs to key %s.\n", o.id)
	default:
		fmt.Fprintf(out, "\nNotation can sign with it, if it belongs to the key: --id checks that.\n")
	}
	return nil
}

// usual sets path or o.secret to what --plugin-config says, if neither was given.
func (o *show) usual(path *string) error {
	switch {
	case *path != "" || o.secret != "":
		return nil
	case len(o.pluginConfig) == 0:
		*path = certificate.FileName // without a look at an environment that may not suffice to ask KMS
		return nil
	}
	config, err := o.config()
	if err != nil {
		return err
	}
	s, err := settings.Parse(config)
	if err != nil {
		return err
	}
	if o.secret = s.CertSecret; o.secret == "" {
		*path = cmp.Or(s.CACerts, certificate.Folder(s.OutputCertDir).Path())
	}
	return nil
}

// read returns the chain of the file or secret, and what to call that.
func (o show) read(ctx context.Context, s *session, path string) (from string, chain certificate.Chain, err error) {
	if o.secret == "" {
		chain, err = certificate.Read(path)
		return path, chain, err
	}
	secret, err := s.client.Secret(ctx, o.secret, kms.SecretVersion{})
	if err != nil {
		return "", chain, err
	}
	if chain, err = certificate.Parse(secret.Data); err != nil {
		err = fmt.Errorf("%s: %w", secret, err)
	}
	return secret.String(), chain, err
}

func describe(w io.Writer, cert *x509.Certificate, now time.Time) {
	issuer := printable.Line(cert.Issuer.String())
	if string(cert.RawIssuer) == string(cert.RawSubject) {
		issuer = "itself"
	}
	fmt.Fprintf(w, `
Subject:    %s
Issuer:     %s
Serial:     %s
SHA-256:    %x
Valid:      %s to %s, %s
Key:        %s
`, printable.Line(cert.Subject.String()), issuer, certificate.Serial(cert), sha256.Sum256(cert.Raw),
		cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339), left(cert, now), keyOf(cert))
}

// left tells how long a certificate is still valid.
func left(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.After(cert.NotAfter):
		return "expired"
	case now.Before(cert.NotBefore):
		return "not yet valid"
	}
	return count(int(cert.NotAfter.Sub(now).Hours()/24), "day") + " left"
}

func keyOf(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC, " + key.Curve.Params().Name
	}
	return cert.PublicKeyAlgorithm.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
