package alibabacloudkms

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
)

// maxCertificates bounds those of one secret. KMS takes secrets of up to 30 KB, which is about 25 certificates.
const maxCertificates = 100

// newCertificateEntry returns the entry for what the configuration has at field.
func newCertificateEntry(client kms.Client, field string, c certificateEntry) *entry[[]*x509.Certificate] {
	return &entry[[]*x509.Certificate]{
		label: fmt.Sprintf("%s (secret %s, version %s)", field, c.SecretName, c.VersionStage+c.VersionID), // one of the two
		name:  c.SecretName, version: c.VersionID, stage: c.VersionStage,
		read: func(ctx context.Context) ([]version[[]*x509.Certificate], error) {
			secret, err := client.Secret(ctx, c.SecretName, kms.SecretVersion{ID: c.VersionID, Stage: c.VersionStage})
			if c.VersionStage == kms.StagePrevious && errors.Is(err, kms.ErrNotFound) {
				err = fmt.Errorf("there is none, as is usual until the secret is rotated for the first time: %w", err)
			}
			if err != nil {
				return nil, err
			}
			chain, err := parseChain(secret.Data)
			if err != nil {
				return nil, fmt.Errorf("version %s must hold the PEM of certificates, and nothing else: %w", secret.Version, err)
			}
			return []version[[]*x509.Certificate]{{secret.Version, chain, map[string]any{"Chain": describeChain(chain)}}}, nil
		},
	}
}

// parseChain reads the data of a secret. Errors quote no data.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	chain, err := pemfile.Certificates(data)
	if err != nil {
		return nil, errors.New(printable.Line(err.Error()))
	}
	if len(chain) > maxCertificates {
		return nil, fmt.Errorf("%d certificates are more than the %d that are read of one secret", len(chain), maxCertificates)
	}
	return chain, nil
}
