package settings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/wholefile"
)

// Client returns the client of KMS that s asks for. It reads files, and asks nobody yet. Errors are *Error, or wrap ErrNoCredentials.
func (s *Settings) Client() (kms.Client, error) {
	var authorities []byte
	if path := s.CAFile(); path != "" {
		var err error
		if authorities, err = wholefile.Read(path); err != nil {
			return nil, &Error{EnvCAFile, err}
		}
		if len(authorities) == 0 { // the system's would be used
			return nil, errorf(EnvCAFile, "%s is empty", path)
		}
	}
	if s.ByClientKey() {
		key, err := wholefile.Read(s.clientKeyFile)
		if err != nil {
			return nil, &Error{EnvClientKeyFile, err}
		}
		client, err := kms.NewClientKey(kms.ClientKeyConfig{Endpoint: s.Endpoint, Key: key, Password: s.password, CABundle: authorities})
		if err != nil {
			return nil, s.named(err)
		}
		return client, nil
	}
	source, err := s.Identity()
	if err != nil {
		return nil, err
	}
	client, err := kms.NewOpenAPI(kms.Config{Region: s.Region, Network: s.Network, Endpoint: s.Endpoint, CABundle: authorities, Identity: source})
	if err != nil {
		return nil, s.named(err)
	}
	return client, nil
}

// Identity returns the source of credentials, unless KMS is asked with a client key. Errors, also those of the source, wrap ErrNoCredentials,
// unless time was up.
func (s *Settings) Identity() (rrsa.Source, error) {
	source, err := identity.Chain(s.CredentialType, identity.Config{Region: s.Region, VPC: s.Network == kms.NetworkVPC, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoCredentials, err)
	}
	return marked{source}, nil
}

// CAFile is the path of the authorities that the endpoint is verified with, or empty for the system's.
func (s *Settings) CAFile() string {
	if s.shared() {
		return ""
	}
	return s.caFile
}

// shared tells whether the endpoint is that of a shared gateway, whose certificate is from a public authority, not from the instance's CA.
func (s *Settings) shared() bool {
	host := strings.TrimPrefix(s.Endpoint, "https://")
	return (strings.HasPrefix(host, "kms.") || strings.HasPrefix(host, "kms-vpc.")) && strings.Contains(host, ".aliyuncs.com")
}

// marked is a source whose errors wrap ErrNoCredentials.
type marked struct{ rrsa.Source }

func (m marked) Credential(ctx context.Context) (rrsa.Credential, error) {
	credential, err := m.Source.Credential(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", ErrNoCredentials, err)
	}
	return credential, err
}
