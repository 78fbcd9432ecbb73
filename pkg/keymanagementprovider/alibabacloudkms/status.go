package alibabacloudkms

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
)

// status describes the versions of all entries under kind, and those entries that have none. Name, Version, Enabled and LastRefreshed are as
// Ratify's provider for Azure has them. An entry that cannot be read is Degraded, since when and why.
func (es entries[V]) status(kind string) keymanagementprovider.KeyManagementProviderStatus {
	list := []map[string]any{}
	for _, e := range es {
		if e.dropped != nil {
			list = append(list, e.describe(e.version, map[string]any{"Reason": e.dropped.Error()}))
		}
		for _, v := range e.versions {
			list = append(list, e.describe(v.id, v.details))
		}
	}
	return keymanagementprovider.KeyManagementProviderStatus{kind: list}
}

func (e *entry[V]) describe(version string, details map[string]any) map[string]any {
	described := map[string]any{
		"Name": e.name, "Version": version, "Enabled": strconv.FormatBool(e.dropped == nil), "LastRefreshed": e.answered.UTC().Format(time.RFC3339),
	}
	if e.stage != "" {
		described["Stage"] = e.stage
	}
	if e.failure != nil {
		described["Degraded"] = map[string]any{"Since": e.failing.UTC().Format(time.RFC3339), "Error": e.failure.Error()}
	}
	maps.Copy(described, details)
	return described
}

func describeChain(chain []*x509.Certificate) []map[string]any {
	described := make([]map[string]any, 0, len(chain))
	for _, c := range chain {
		sum := sha256.Sum256(c.Raw)
		described = append(described, map[string]any{
			"Subject": c.Subject.String(), "Issuer": c.Issuer.String(), "Serial": c.SerialNumber.Text(16), "Fingerprint": hex.EncodeToString(sum[:]),
			"NotBefore": c.NotBefore.UTC().Format(time.RFC3339), "NotAfter": c.NotAfter.UTC().Format(time.RFC3339), "IsCA": c.IsCA,
		})
	}
	return described
}

// warnings say what keeps certificates from being trust anchors at this moment. They are trusted all the same: a signature with a timestamp
// outlives its certificates, and a leaf beside its root does no harm.
func warnings(chains map[keymanagementprovider.KMPMapKey][]*x509.Certificate, now time.Time) []string {
	var found []string
	byName := slices.SortedFunc(maps.Keys(chains), func(a, b keymanagementprovider.KMPMapKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	for _, key := range byName {
		for i, c := range chains[key] {
			warn := func(format string, args ...any) {
				what := fmt.Sprintf("secret %s, version %s, certificate %d (%s) ", key.Name, key.Version, i+1, c.Subject)
				found = append(found, what+fmt.Sprintf(format, args...))
			}
			if now.After(c.NotAfter) {
				warn("expired on %s: only timestamped signatures still verify with it", c.NotAfter.UTC().Format(time.RFC3339))
			}
			if now.Before(c.NotBefore) {
				warn("is not valid before %s: nothing verifies with it until then", c.NotBefore.UTC().Format(time.RFC3339))
			}
			if !c.IsCA && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
				warn("is neither a CA's nor self-signed: trust stores leave it out; put its issuer's certificate into the secret")
			}
		}
	}
	return found
}

// fingerprint is the SHA-256 of the PKIX form, in hex; empty for a key that has none.
func fingerprint(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
