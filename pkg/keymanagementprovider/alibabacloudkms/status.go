package alibabacloudkms

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
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
		described = append(described, map[string]any{
			"Subject": c.Subject.String(), "Issuer": c.Issuer.String(), "Serial": c.SerialNumber.Text(16), "Fingerprint": keymaterial.Fingerprint(c.Raw),
			"NotBefore": c.NotBefore.UTC().Format(time.RFC3339), "NotAfter": c.NotAfter.UTC().Format(time.RFC3339), "IsCA": c.IsCA,
		})
	}
	return described
}

// warnings say what keeps certificates from being trust anchors at this moment.
func warnings(chains map[keymanagementprovider.KMPMapKey][]*x509.Certificate, now time.Time) []string {
	var found []string
	byName := slices.SortedFunc(maps.Keys(chains), func(a, b keymanagementprovider.KMPMapKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	for _, key := range byName {
		for i, c := range chains[key] {
			for _, w := range keymaterial.Warnings(c, now, "put its issuer's certificate into the secret") {
				found = append(found, fmt.Sprintf("secret %s, version %s, certificate %d (%s) %s", key.Name, key.Version, i+1, c.Subject, w))
			}
		}
	}
	return found
}

// fingerprint is empty for a key that has none.
func fingerprint(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	return keymaterial.Fingerprint(der)
}
