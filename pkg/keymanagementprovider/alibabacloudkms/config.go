package alibabacloudkms

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// EnvRegion is the region where the configuration names none, as Alibaba Cloud's notation plugin has it. Before that of STS.
const EnvRegion = "ALIBABA_CLOUD_KMS_REGION_ID"

// maxEntries bounds the certificates, and the keys, of one configuration: a secret is one call, a key two and one for each version, and KMS takes
// 200 a second.
const maxEntries = 50

// ErrConfig marks every error of New: only a change of the configuration, or of the pod's identity, helps.
var ErrConfig = errors.New("alibabacloudkms key management provider")

// parameters are those of one provider. Type, Name, Resource, Version and RefreshInterval are Ratify's, and its own business.
type parameters struct {
	Type            string          `json:"type"`
	Name            string          `json:"name"`
	Resource        string          `json:"resource"`
	Version         string          `json:"version"`
	RefreshInterval json.RawMessage `json:"refreshInterval"`

	Certificates []json.RawMessage `json:"certificates"`
	Keys         []json.RawMessage `json:"keys"`

	Region   string `json:"region"`
	Network  string `json:"network"`
	Endpoint string `json:"endpoint"`
	CABundle string `json:"caBundle"`
	Timeout  string `json:"timeout"`

	STSEndpoint     string          `json:"stsEndpoint"`
	RoleARN         string          `json:"roleArn"`
	OIDCProviderARN string          `json:"oidcProviderArn"`
	OIDCTokenFile   string          `json:"oidcTokenFile"`
	RoleSessionName string          `json:"roleSessionName"`
	Credential      json.RawMessage `json:"credential"`

	certificates []certificateEntry
	keys         []keyEntry
	timeout      time.Duration
	credential   *identity.Credential
}

// certificateEntry names a version of a secret that holds certificates.
type certificateEntry struct {
	SecretName   string `json:"secretName"`
	VersionStage string `json:"versionStage"`
	VersionID    string `json:"versionId"`
}

// keyEntry names a key, or one version of it.
type keyEntry struct {
	KeyID        string `json:"keyId"`
	KeyVersionID string `json:"keyVersionId"`
}

// parse reads the parameters. Errors name them.
func parse(cfg config.KeyManagementProviderConfig) (parameters, error) {
	var p parameters
	raw, err := json.Marshal(cfg)
	if err != nil {
		return p, fmt.Errorf("the parameters are not plain data: %w", err)
	}
	if err := parameter.Decode("", raw, &p); err != nil {
		return p, err
	}
	if len(p.Certificates) == 0 && len(p.Keys) == 0 {
		return p, parameter.Errorf("certificates", "neither certificates nor keys are given: name a secret or a key to be trusted")
	}
	if p.certificates, err = decodeEach("certificates", p.Certificates, certificateEntry.check); err != nil {
		return p, err
	}
	if p.keys, err = decodeEach("keys", p.Keys, keyEntry.check); err != nil {
		return p, err
	}
	if p.Timeout != "" {
		if p.timeout, err = time.ParseDuration(p.Timeout); err != nil || p.timeout <= 0 || p.timeout > readTimeout {
			return p, parameter.Errorf("timeout", `want a duration with its unit, such as "10s", and at most %s; got %q`, readTimeout, p.Timeout)
		}
	}
	if p.Region = cmp.Or(p.Region, os.Getenv(EnvRegion), rrsa.FromEnv().Region); p.Region == "" && len(p.keys) > 0 {
		return p, parameter.Errorf("region", "is needed for keys, and %s and %s are not set", EnvRegion, rrsa.EnvSTSRegion)
	}
	if len(p.Credential) > 0 {
		if err := parameter.Decode("credential", p.Credential, &p.credential); err != nil {
			return p, err
		}
	}
	return p, p.credential.Check()
}

// decodeEach decodes the entries of the list in field. check completes one and compares it with those before.
func decodeEach[E any](field string, list []json.RawMessage, check func(entry E, field string, before []E) (E, error)) ([]E, error) {
	if len(list) > maxEntries {
		return nil, parameter.Errorf(field, "has %d entries; at most %d are read: use another provider for the others", len(list), maxEntries)
	}
	var entries []E
	for i, raw := range list {
		at := indexed(field, i)
		var entry E
		if err := parameter.Decode(at, raw, &entry); err != nil {
			return nil, err
		}
		entry, err := check(entry, at, entries)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func (c certificateEntry) check(field string, before []certificateEntry) (certificateEntry, error) {
	switch {
	case c.SecretName == "":
		return c, parameter.Errorf(field+".secretName", "is missing")
	case c.VersionStage != "" && c.VersionID != "":
		return c, parameter.Errorf(field+".versionId", "cannot be used together with versionStage: a version has one ID, and its stage changes")
	case c.VersionStage == "" && c.VersionID == "":
		c.VersionStage = kms.StageCurrent
	}
	for i, other := range before {
		if c == other {
			return c, parameter.Errorf(field, "is the same as %s", indexed("certificates", i))
		}
	}
	return c, nil
}

func (k keyEntry) check(field string, before []keyEntry) (keyEntry, error) {
	if k.KeyID == "" {
		return k, parameter.Errorf(field+".keyId", "is missing")
	}
	for i, other := range before {
		switch {
		case k == other:
			return k, parameter.Errorf(field, "is the same as %s", indexed("keys", i))
		case k.KeyID == other.KeyID && (k.KeyVersionID == "" || other.KeyVersionID == ""):
			return k, parameter.Errorf(field, "is of the same key as %s, and one of the two names all versions: name all, or each with its keyVersionId",
				indexed("keys", i))
		}
	}
	return k, nil
}

func indexed(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }
