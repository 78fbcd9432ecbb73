package settings

import (
	"cmp"
	"crypto/x509/pkix"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/spelling"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
)

// The environment variables of Alibaba Cloud's own plugin. Those of credentials are documented with package identity.
const (
	EnvEndpoint      = "ALIBABA_CLOUD_KMS_INSTANCE_ENDPOINT"
	EnvClientKeyFile = "ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH"
	EnvPassword      = "ALIBABA_CLOUD_KMS_PASSWORD"
	EnvCAFile        = "ALIBABA_CLOUD_KMS_CA_FILEPATH"
	EnvRegion        = "ALIBABA_CLOUD_KMS_REGION_ID"
)

// The keys of --plugin-config.
const (
	keyOutputCertDir  = "output_cert_dir"
	keyCACerts        = "ca_certs"
	keyCertSecret     = "cert_secret"
	keyCertSubject    = "cert_subject"
	keyCertValidity   = "cert_validity"
	keyCredentialType = "credential_type"
	keyRegion         = "region"
	keyNetwork        = "network"
	keyEndpoint       = "endpoint"
	keyKeyVersion     = "key_version"
	keyTimeout        = "timeout"
)

var keys = []string{keyOutputCertDir, keyCACerts, keyCertSecret, keyCertSubject, keyCertValidity, keyCredentialType, keyRegion, keyNetwork, keyEndpoint,
	keyKeyVersion, keyTimeout}

// credentialTypes of --plugin-config credential_type. All but the first are kinds of package identity.
var credentialTypes = []string{clientKey, "default", "access_key", "sts", "oidc_role_arn", "ram_role_arn", "ecs_ram_role", "credentials_uri"}

const clientKey = "client_key"

const (
	// DefaultRegion is that of Alibaba Cloud's own plugin.
	DefaultRegion = "cn-hangzhou"
	// defaultTimeout is three times what one call of KMS may take, retries included.
	defaultTimeout = 30 * time.Second
	// minTimeout is enough for one call without a retry.
	minTimeout = time.Second
	// maxTimeout is longer than anybody waits for a signature.
	maxTimeout = 10 * time.Minute
)

// Settings are what the environment and --plugin-config say together.
type Settings struct {
	CredentialType string // one of --plugin-config credential_type
	Region         string // of the shared gateway
	Network        string // of the shared gateway: vpc, public, or empty for what the environment says
	Endpoint       string // in place of the shared gateway's, or empty
	KeyVersion     string // or empty for that of the certificate, else the newest
	Timeout        time.Duration

	OutputCertDir string        // directory of signer.crt
	CACerts       string        // path of a chain that an authority issued, or empty
	CertSecret    string        // name of a secret with the certificate, or empty
	CertSubject   *pkix.Name    // of certificates to be made; nil for certificate.DefaultSubject
	CertValidity  time.Duration // of certificates to be made

	clientKeyFile, password, caFile string
	endpointFrom, regionFrom        string // the variable or key that they are from
}

// ByClientKey tells whether KMS is asked with a client key, in place of the OpenAPI. Client keys know no versions of keys.
func (s *Settings) ByClientKey() bool { return s.CredentialType == clientKey }

// Version returns the version of a key to sign with, with a certificate whose text says that it is of that origin; empty for the newest.
func (s *Settings) Version(keyID string, origin certificate.Origin) string {
	if s.KeyVersion == "" && !s.ByClientKey() && origin.Names(keyID) {
		return origin.Version
	}
	return s.KeyVersion
}

// Parse reads the environment and --plugin-config. No file is read yet. Errors are *Error.
func Parse(config map[string]string) (*Settings, error) {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if !slices.Contains(keys, key) {
			hint := "; known are " + strings.Join(keys, ", ")
			if nearest := spelling.Nearest(key, keys); nearest != "" {
				hint = "; did you mean " + nearest + "?"
			}
			return nil, errorf(Key(key), "is unknown%s", hint)
		}
		if config[key] == "" {
			return nil, errorf(Key(key), "is empty; give it a value, or leave it out")
		}
	}
	s := &Settings{
		Network: config[keyNetwork], KeyVersion: config[keyKeyVersion],
		OutputCertDir: cmp.Or(config[keyOutputCertDir], "."), CACerts: config[keyCACerts], CertSecret: config[keyCertSecret],
		clientKeyFile: os.Getenv(EnvClientKeyFile), password: strings.TrimRight(os.Getenv(EnvPassword), "\r\n"), caFile: os.Getenv(EnvCAFile),
	}
	if err := s.checkPaths(); err != nil {
		return nil, err
	}
	s.Endpoint, s.endpointFrom = first(config, keyEndpoint, EnvEndpoint, "")
	s.Region, s.regionFrom = first(config, keyRegion, EnvRegion, DefaultRegion)
	if err := s.parseCertificate(config); err != nil {
		return nil, err
	}
	if err := s.parseCredential(config[keyCredentialType]); err != nil {
		return nil, err
	}
	return s, s.parseTimeout(config[keyTimeout])
}

// first returns the value of a key of --plugin-config, else of a variable, else the default, and where it is from.
func first(config map[string]string, key, variable, otherwise string) (value, from string) {
	if value := config[key]; value != "" {
		return value, Key(key)
	}
	return cmp.Or(os.Getenv(variable), otherwise), variable
}

// checkPaths refuses paths that a shell was to expand: it does so at the beginning of words only, and files of variables know nothing of it.
func (s *Settings) checkPaths() error {
	for _, given := range []struct{ name, path string }{
		{Key(keyOutputCertDir), s.OutputCertDir}, {Key(keyCACerts), s.CACerts}, {EnvClientKeyFile, s.clientKeyFile}, {EnvCAFile, s.caFile},
	} {
		if given.path == "~" || strings.HasPrefix(given.path, "~/") {
			return errorf(given.name, "%s begins with ~, which nobody has expanded: write $HOME, or the whole path", given.path)
		}
	}
	return nil
}

func (s *Settings) parseCertificate(config map[string]string) error {
	if s.CACerts != "" && s.CertSecret != "" {
		return errorf(Key(keyCACerts), "and %s exclude each other: the certificate is in a file or in a secret", keyCertSecret)
	}
	for _, given := range []string{keyCACerts, keyCertSecret} {
		for _, made := range []string{keyCertSubject, keyCertValidity} {
			if config[given] != "" && config[made] != "" {
				return errorf(Key(made), "and %s exclude each other: it is about certificates that this plugin makes", given)
			}
		}
	}
	if text := config[keyCertSubject]; text != "" {
		subject, err := certificate.ParseSubject(text)
		if err != nil {
			return &Error{Key(keyCertSubject), err}
		}
		s.CertSubject = &subject
	}
	s.CertValidity = certificate.DefaultValidity
	if text := config[keyCertValidity]; text != "" {
		validity, err := certificate.ParseValidity(text)
		if err != nil {
			return &Error{Key(keyCertValidity), err}
		}
		s.CertValidity = validity
	}
	return nil
}

func (s *Settings) parseCredential(kind string) error {
	switch {
	case kind == "" && s.clientKeyFile != "":
		kind = clientKey
	case kind == "":
		kind = "default"
	case !slices.Contains(credentialTypes, kind):
		return errorf(Key(keyCredentialType), "%q is not one of %s", kind, strings.Join(credentialTypes, ", "))
	}
	s.CredentialType = kind
	if !s.ByClientKey() {
		return nil
	}
	const advice = "see the application access point of the KMS instance in its console"
	switch {
	case s.clientKeyFile == "":
		return errorf(EnvClientKeyFile, "is not set, and %s needs it: the path of clientKey_*.json; %s", clientKey, advice)
	case s.password == "":
		return errorf(EnvPassword, "is not set, and the client key in %s needs it: the content of clientKey_*_Password.txt; %s", EnvClientKeyFile, advice)
	case s.Endpoint == "":
		return errorf(EnvEndpoint, "is not set, and the client key in %s needs it: the host of the dedicated KMS instance, <kst-id>.cryptoservice.kms.aliyuncs.com",
			EnvClientKeyFile)
	case s.KeyVersion != "":
		return errorf(Key(keyKeyVersion), "is not known to client keys, which sign with the newest version; leave it out, or set %s to another", keyCredentialType)
	}
	return nil
}

func (s *Settings) parseTimeout(text string) error {
	s.Timeout = defaultTimeout
	if text == "" {
		return nil
	}
	var err error
	if s.Timeout, err = time.ParseDuration(text); err != nil {
		return &Error{Key(keyTimeout), errors.New("is not a duration such as 30s")}
	}
	if s.Timeout < minTimeout || s.Timeout > maxTimeout {
		return errorf(Key(keyTimeout), "%s is not between %s and %s", text, minTimeout, maxTimeout)
	}
	return nil
}
