package commands

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// requestFile is the usual file of a certificate signing request.
const requestFile = "signer.csr"

// usages are the extensions that a request asks for: those of a code signing certificate (RFC 5280, sections 4.2.1.3 and 4.2.1.12).
var usages = []pkix.Extension{
	{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: []byte{asn1.TagBitString, 2, 7, 0x80}}, // digitalSignature
	{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: []byte{0x30, 10, asn1.TagOID, 8, 0x2b, 6, 1, 5, 5, 7, 3, 3}},
}

func (o create) request(cmd *cobra.Command, s *session, signer crypto.Signer) error {
	// Signed as x509 chooses: RSA with PKCS #1 v1.5, as some authorities read no PSS here.
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: *s.CertSubject, ExtraExtensions: usages}, signer)
	if err != nil {
		return fmt.Errorf("signing the request: %w", err)
	}
	if err := write(o.output, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 0o644, o.force); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), `Wrote %s: a request for a certificate for key %s.
Subject %s

Have an authority issue a code signing certificate for it: key usage digitalSignature,
extended key usage codeSigning, not a CA. Put it and those of its issuers, up to the
root, into one file in PEM, and sign with it:
  notation sign --plugin alibabacloud.secretmanager.plugin --id %s \
    --plugin-config ca_certs=FILE IMAGE@DIGEST
Verifiers need the root as a trust anchor.
`, o.output, o.id, printable.Line(s.CertSubject.String()), o.id)
	return nil
}
