package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// kmsInstance is the one dedicated instance of KMS.
const kmsInstance = "kst-hzz0000000000001"

// kmsKeys are the keys of the instance by their aliases.
var kmsKeys = map[string]string{"alias/rsa": "RSA_2048", "alias/ec": "EC_P256"}

// keyAccess is what the console gives for signing with the instance.
type keyAccess struct {
	clientKeyFile, password, caFile string
}

// addKMS adds the instance, its keys and a client key, whose files it writes to dir.
func addKMS(cloud *emulator.Cloud, dir string) (keyAccess, error) {
	if err := cloud.AddKMSInstance(kmsInstance, ""); err != nil {
		return keyAccess{}, err
	}
	for alias, spec := range kmsKeys {
		if _, err := cloud.KMS().AddKey(kms.KeyOptions{Spec: spec, Alias: alias, Instance: kmsInstance}); err != nil {
			return keyAccess{}, err
		}
	}
	file, password, err := cloud.KMS().AddClientKey(kmsInstance)
	if err != nil {
		return keyAccess{}, err
	}
	access := keyAccess{filepath.Join(dir, "clientKey.json"), password, filepath.Join(dir, "PrivateKmsCA.pem")}
	if err := os.WriteFile(access.clientKeyFile, file, 0o600); err != nil {
		return keyAccess{}, err
	}
	return access, os.WriteFile(access.caFile, cloud.KMSInstanceCA(kmsInstance), 0o600)
}

// explain writes lines for a shell: the environment of the Notation plugin.
func (a keyAccess) explain(w io.Writer, region string) {
	fmt.Fprintln(w, "\n# KMS. With this environment the Notation plugin signs with --id alias/rsa (RSA_2048) and --id alias/ec (EC_P256):")
	for _, entry := range [][2]string{
		{"INSTANCE_ENDPOINT", kmsInstance + ".cryptoservice.kms.aliyuncs.com"},
		{"CLIENTKEY_FILEPATH", a.clientKeyFile},
		{"PASSWORD", a.password},
		{"CA_FILEPATH", a.caFile},
		{"REGION_ID", region},
	} {
		fmt.Fprintf(w, "export ALIBABA_CLOUD_KMS_%s=%s\n", entry[0], quote(entry[1]))
	}
}
