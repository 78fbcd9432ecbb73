package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	alikms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

func TestKMSSecrets(t *testing.T) {
	cloud := start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	first := cloud.KMS().PutSecret("signer", "one")
	second := cloud.KMS().PutSecret("signer", "two")
	third := cloud.KMS().PutSecret("signer", "three")
	credential := accessKey(t, cloud)
	file, password, err := cloud.KMS().AddClientKey(kstID)
	if err != nil {
		t.Fatal(err)
	}
	instance := clientKeyClient(t, cloud, file, password)
	for _, host := range []string{kmsHost, instanceHost} {
		client := kmsClient(t, cloud, host, credential)
		get := func(name, version, stage string) (value, id string, stages []string, err error) {
			response, err := client.GetSecretValue(&alikms.GetSecretValueRequest{
				SecretName: optional(name), VersionId: optional(version), VersionStage: optional(stage),
			})
			if err != nil {
				return "", "", nil, err
			}
			b := response.Body
			return tea.StringValue(b.SecretData), tea.StringValue(b.VersionId), tea.StringSliceValue(b.VersionStages.VersionStage), nil
		}
		for _, test := range []struct{ version, stage, value, id, stages string }{
			{"", "", "three", third, "ACSCurrent"},
			{"", "ACSCurrent", "three", third, "ACSCurrent"},
			{"", "ACSPrevious", "two", second, "ACSPrevious"},
			{first, "", "one", first, ""},
			{second, "ACSPrevious", "two", second, "ACSPrevious"},
		} {
			value, id, stages, err := get("signer", test.version, test.stage)
			if err != nil || value != test.value || id != test.id || strings.Join(stages, " ") != test.stages {
				t.Errorf("%s %+v: got %s %s %q, error %v", host, test, value, id, stages, err)
			}
		}
		for _, test := range []struct{ name, version, stage string }{{"unknown", "", ""}, {"signer", "unknown", ""}, {"signer", first, "ACSCurrent"}} {
			_, _, _, err := get(test.name, test.version, test.stage)
			refusedWith(t, err, 404, "Forbidden.ResourceNotFound")
		}
		_, _, _, err := get("", "", "")
		refusedWith(t, err, 400, "MissingParameter")
	}
	got, err := instance.GetSecretValueWithOptions(secretRequest("signer", "ACSPrevious"), once)
	if err != nil || tea.StringValue(got.SecretData) != "two" || tea.StringValue(got.VersionId) != second || len(got.VersionStages) != 1 {
		t.Errorf("with a client key: %v, error %v", got, err)
	}

	cloud.KMS().RemoveSecretVersion("signer", second)
	_, err = instance.GetSecretValueWithOptions(secretRequest("signer", "ACSPrevious"), once)
	clientKeyRefusedWith(t, err, http.StatusNotFound, "Forbidden.ResourceNotFound")
	cloud.KMS().DeleteSecret("signer")
	_, err = instance.GetSecretValueWithOptions(secretRequest("signer", "ACSCurrent"), once)
	clientKeyRefusedWith(t, err, http.StatusNotFound, "Forbidden.ResourceNotFound")
	_, err = kmsClient(t, cloud, "kms.cn-beijing.aliyuncs.com", credential).GetSecretValue(&alikms.GetSecretValueRequest{SecretName: tea.String("signer")})
	refusedWith(t, err, 404, "Forbidden.ResourceNotFound")
}
