package alibabacloudkms

import (
	"context"
	"crypto"
	"fmt"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
)

// maxVersions bounds the versions of a key that are trusted. It is KMS's quota, so that all count unless that was raised.
const maxVersions = 50

const (
	stateEnabled = "Enabled"
	usageSigning = "SIGN/VERIFY"
)

// newKeyEntry returns the entry for what the configuration has at field. Without a version it is of all versions: a signature made before the key
// was rotated verifies with the one before.
func newKeyEntry(client kms.Client, field string, k keyEntry) *entry[crypto.PublicKey] {
	label := fmt.Sprintf("%s (key %s)", field, k.KeyID)
	if k.KeyVersionID != "" {
		label = fmt.Sprintf("%s (key %s, version %s)", field, k.KeyID, k.KeyVersionID)
	}
	return &entry[crypto.PublicKey]{
		label: label, name: k.KeyID, version: k.KeyVersionID,
		read: func(ctx context.Context) ([]version[crypto.PublicKey], error) { return readKey(ctx, client, k) },
	}
}

func readKey(ctx context.Context, client kms.Client, k keyEntry) ([]version[crypto.PublicKey], error) {
	key, err := client.DescribeKey(ctx, k.KeyID)
	if err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	id := k.KeyID
	if strings.HasPrefix(id, "alias/") {
		id = key.ID // the one whose state was told, should the alias be moved meanwhile
	}
	wanted := []kms.KeyVersion{{ID: k.KeyVersionID}}
	if k.KeyVersionID == "" {
		if wanted, err = client.KeyVersions(ctx, id); err != nil {
			return nil, err
		}
	}
	switch {
	case len(wanted) == 0:
		return nil, fmt.Errorf("%w: key %s has no version; import its key material", kms.ErrUnusable, k.KeyID)
	case len(wanted) > maxVersions:
		return nil, fmt.Errorf("key %s has %d versions, more than the %d that are read; name those to be trusted with keyVersionId",
			k.KeyID, len(wanted), maxVersions)
	}
	var versions []version[crypto.PublicKey]
	for _, w := range wanted {
		public, err := client.PublicKey(ctx, id, w.ID)
		if err != nil {
			return nil, err
		}
		if public.Key == nil {
			return nil, fmt.Errorf("%w: version %s of key %s is of spec %s", errUnfit, w.ID, k.KeyID, public.Spec)
		}
		details := map[string]any{"Spec": string(public.Spec), "Fingerprint": fingerprint(public.Key)}
		if !w.Created.IsZero() {
			details["Created"] = w.Created.UTC().Format(time.RFC3339)
		}
		versions = append(versions, version[crypto.PublicKey]{w.ID, public.Key, details})
	}
	return versions, nil
}

// checkKey returns an error, a definitive one if KMS tells so, if signatures of the key cannot be verified, or are not to be.
func checkKey(key kms.Key) error {
	switch {
	case key.State == "" || key.Usage == "":
		return fmt.Errorf("KMS did not tell both state and usage of key %s", key.ID)
	case key.State != stateEnabled:
		return fmt.Errorf("%w: key %s is in state %s; enable it in the KMS console, or take it out of the configuration", kms.ErrUnusable, key.ID, key.State)
	case key.Usage != usageSigning:
		return fmt.Errorf("%w: key %s is for %s; use one for %s", errUnfit, key.ID, key.Usage, usageSigning)
	case key.Spec != kms.ECP256 && !strings.HasPrefix(string(key.Spec), "RSA_"):
		return fmt.Errorf("%w: key %s is of spec %s, whose signatures cosign does not verify; use one of spec EC_P256 or RSA_2048", errUnfit, key.ID, key.Spec)
	}
	return nil
}
