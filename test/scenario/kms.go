package scenario

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// ReleaseEngineer is who signs with keys of a dedicated KMS instance, and has what Alibaba Cloud's guide hands out for that: an access key, the
// client key of an application access point with its password, and the instance's certificate.
type ReleaseEngineer struct {
	cloud    *emulator.Cloud
	instance string
	env      []string
}

// NewReleaseEngineer adds a KMS instance to a cloud, and writes the files of its user to a folder.
func NewReleaseEngineer(cloud *emulator.Cloud, instance, folder string) (*ReleaseEngineer, error) {
	if err := cloud.AddKMSInstance(instance, ""); err != nil {
		return nil, err
	}
	key, password, err := cloud.KMS().AddClientKey(instance)
	if err != nil {
		return nil, err
	}
	keyFile, caFile := filepath.Join(folder, "clientkey"), filepath.Join(folder, "privatekmsca")
	for path, content := range map[string][]byte{keyFile: key, caFile: cloud.KMSInstanceCA(instance)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	id, secret := cloud.AddAccessKey()
	return &ReleaseEngineer{cloud: cloud, instance: instance, env: []string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + id,
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + secret,
		"ALIBABA_CLOUD_KMS_INSTANCE_ENDPOINT=" + instance + ".cryptoservice.kms.aliyuncs.com",
		"ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH=" + keyFile,
		"ALIBABA_CLOUD_KMS_PASSWORD=" + password,
		"ALIBABA_CLOUD_KMS_CA_FILEPATH=" + caFile,
	}}, nil
}

// Env returns as KEY=value the variables of the guide, all of them and no other.
func (r *ReleaseEngineer) Env() []string { return r.env }

// WayEnv returns as KEY=value what leads to the cloud, which on a real machine is just there.
func (r *ReleaseEngineer) WayEnv() []string {
	return []string{"HTTPS_PROXY=" + r.cloud.ProxyURL(), "SSL_CERT_FILE=" + r.cloud.CAFile(), "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true"}
}

// AddKey makes a key of a spec in the instance, and returns its ID.
func (r *ReleaseEngineer) AddKey(spec string) (string, error) {
	id, err := r.cloud.KMS().AddKey(kms.KeyOptions{Spec: spec, Instance: r.instance})
	if err != nil {
		return "", fmt.Errorf("a key of spec %s in KMS: %w", spec, err)
	}
	return id, nil
}
