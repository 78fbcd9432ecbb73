package emulator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	alikms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// optional returns a parameter, or nil for none.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func TestKMSRefusals(t *testing.T) {
	cloud := start(t, emulator.Options{})
	for id, region := range map[string]string{kstID: "", "kst-hzzother": "", "kst-bjj": "cn-beijing"} {
		if err := cloud.AddKMSInstance(id, region); err != nil {
			t.Fatal(err)
		}
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID, Alias: "alias/ec", Material: p256})
	other := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: "kst-hzzother"})
	far := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: "kst-bjj"})
	aes := addKey(t, cloud, kms.KeyOptions{Spec: "Aliyun_AES_256", Instance: kstID})
	sm2 := addKey(t, cloud, kms.KeyOptions{Spec: "EC_SM2", Instance: kstID})
	encrypting := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID, Usage: "ENCRYPT/DECRYPT"})
	empty := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID, Origin: "EXTERNAL"})
	disabled := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID})
	cloud.KMS().SetKeyState(disabled, kms.Disabled)
	doomed := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID})
	cloud.KMS().SetKeyState(doomed, kms.PendingDeletion)
	gone := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256"})
	cloud.KMS().DeleteKey(gone)

	credential := accessKey(t, cloud)
	shared := kmsClient(t, cloud, kmsHost, credential)
	dedicated := kmsClient(t, cloud, instanceHost, credential)
	beijing := kmsClient(t, cloud, "kms.cn-beijing.aliyuncs.com", credential)
	version := map[string]string{ec: versions(t, shared, ec)[0], other: versions(t, shared, other)[0], far: versions(t, beijing, far)[0]}
	for _, id := range []string{aes, sm2, encrypting, empty, disabled, doomed} {
		version[id] = versions(t, shared, id)[0]
	}
	digest := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	const ecdsaSHA256 = "ECDSA_SHA_256"
	arn := "acs:kms:cn-hangzhou:1234567890123456:"
	tests := []struct {
		name                            string
		client                          *alikms.Client
		key, version, algorithm, digest string
		status                          int // 0: it signs
		code                            string
	}{
		{"by ID", shared, ec, version[ec], ecdsaSHA256, digest(32), 0, ""},
		{"by alias", dedicated, "alias/ec", version[ec], ecdsaSHA256, digest(32), 0, ""},
		{"by ARN", shared, arn + "key/" + ec, version[ec], ecdsaSHA256, digest(32), 0, ""},
		{"by ARN of the alias", shared, arn + "alias/ec", version[ec], ecdsaSHA256, digest(32), 0, ""},
		{"of another instance, at the shared gateway", shared, other, version[other], ecdsaSHA256, digest(32), 0, ""},
		{"no key", shared, "", version[ec], ecdsaSHA256, digest(32), 400, "MissingParameter"},
		{"no version", shared, ec, "", ecdsaSHA256, digest(32), 400, "MissingParameter"},
		{"no algorithm", shared, ec, version[ec], "", digest(32), 400, "MissingParameter"},
		{"no digest", shared, ec, version[ec], ecdsaSHA256, "", 400, "MissingParameter"},
		{"unknown key", shared, "key-hzzunknown", version[ec], ecdsaSHA256, digest(32), 404, "Forbidden.KeyNotFound"},
		{"deleted key", shared, gone, version[ec], ecdsaSHA256, digest(32), 404, "Forbidden.KeyNotFound"},
		{"of another region", shared, far, version[far], ecdsaSHA256, digest(32), 404, "Forbidden.KeyNotFound"},
		{"of another instance", dedicated, other, version[other], ecdsaSHA256, digest(32), 404, "Forbidden.KeyNotFound"},
		{"ARN of another region", shared, strings.Replace(arn, "hangzhou", "beijing", 1) + "key/" + ec, version[ec], ecdsaSHA256, digest(32), 404, "Forbidden.KeyNotFound"},
		{"unknown alias", shared, "alias/unknown", version[ec], ecdsaSHA256, digest(32), 404, "Forbidden.AliasNotFound"},
		{"another key's version", shared, ec, version[other], ecdsaSHA256, digest(32), 404, "Forbidden.KeyVersionNotFound"},
		{"disabled", shared, disabled, version[disabled], ecdsaSHA256, digest(32), 409, "Rejected.Disabled"},
		{"to be deleted", shared, doomed, version[doomed], ecdsaSHA256, digest(32), 409, "Rejected.PendingDeletion"},
		{"without material", shared, empty, version[empty], ecdsaSHA256, digest(32), 409, "Rejected.PendingImport"},
		{"another spec's algorithm", shared, ec, version[ec], "RSA_PSS_SHA_256", digest(32), 400, "InvalidParameter"},
		{"SHA-384", shared, ec, version[ec], ecdsaSHA256, digest(48), 400, "InvalidParameter"},
		{"short digest", shared, ec, version[ec], ecdsaSHA256, digest(20), 400, "InvalidParameter"},
		{"not Base64", shared, ec, version[ec], ecdsaSHA256, "%", 400, "InvalidParameter"},
		{"symmetric", shared, aes, version[aes], ecdsaSHA256, digest(32), 400, "UnsupportedOperation"},
		{"for encryption", shared, encrypting, version[encrypting], ecdsaSHA256, digest(32), 400, "UnsupportedOperation"},
		{"SM2", shared, sm2, version[sm2], "SM2DSA", digest(32), 400, "UnsupportedOperation"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response, err := test.client.AsymmetricSign(&alikms.AsymmetricSignRequest{
				KeyId: optional(test.key), KeyVersionId: optional(test.version), Algorithm: optional(test.algorithm), Digest: optional(test.digest),
			})
			if test.status != 0 {
				refusedWith(t, err, test.status, test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id := tea.StringValue(response.Body.KeyId); id != ec && id != other {
				t.Errorf("the reply names key %s", id)
			}
		})
	}

	publicKey := func(client *alikms.Client, id, version string) error {
		_, err := client.GetPublicKey(&alikms.GetPublicKeyRequest{KeyId: optional(id), KeyVersionId: optional(version)})
		return err
	}
	refusedWith(t, publicKey(shared, ec, ""), 400, "MissingParameter")
	refusedWith(t, publicKey(shared, aes, version[aes]), 400, "UnsupportedOperation")
	refusedWith(t, publicKey(shared, disabled, version[disabled]), 409, "Rejected.Disabled")
	if err := publicKey(shared, sm2, version[sm2]); err != nil {
		t.Errorf("public key on SM2's curve: %v", err)
	}
	_, err = dedicated.DescribeKey(&alikms.DescribeKeyRequest{KeyId: tea.String(ec)})
	refusedWith(t, err, 404, "InvalidAction.NotFound")
	_, err = shared.DescribeKey(&alikms.DescribeKeyRequest{KeyId: tea.String(far)})
	refusedWith(t, err, 404, "Forbidden.KeyNotFound")

	cloud.KMS().Deny("GetPublicKey")
	refusedWith(t, publicKey(shared, ec, version[ec]), 403, "Forbidden.NoPermission")
	cloud.KMS().Deny()
	if err := publicKey(shared, ec, version[ec]); err != nil {
		t.Errorf("after Deny of nothing: %v", err)
	}
}

func TestKMSKeys(t *testing.T) {
	now := testclock.At(time.Now())
	cloud := start(t, emulator.Options{Now: now.Now})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	client := kmsClient(t, cloud, kmsHost, accessKey(t, cloud))
	id := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID, Alias: "alias/signer"})
	imported := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Origin: "EXTERNAL"})
	addKey(t, cloud, kms.KeyOptions{Spec: "Aliyun_AES_256"})

	described, err := client.DescribeKey(&alikms.DescribeKeyRequest{KeyId: tea.String("alias/signer")})
	if err != nil {
		t.Fatal(err)
	}
	m := described.Body.KeyMetadata
	got := []string{tea.StringValue(m.KeyId), tea.StringValue(m.KeySpec), tea.StringValue(m.KeyState), tea.StringValue(m.KeyUsage),
		tea.StringValue(m.Origin), tea.StringValue(m.DKMSInstanceId), tea.StringValue(m.Arn)}
	want := []string{id, "EC_P256", "Enabled", "SIGN/VERIFY", "Aliyun_KMS", kstID, "acs:kms:cn-hangzhou:1234567890123456:key/" + id}
	if !slices.Equal(got, want) {
		t.Errorf("DescribeKey: got %q, want %q", got, want)
	}
	described, err = client.DescribeKey(&alikms.DescribeKeyRequest{KeyId: tea.String(imported)})
	if err != nil || tea.StringValue(described.Body.KeyMetadata.KeyState) != "PendingImport" || tea.StringValue(described.Body.KeyMetadata.Origin) != "EXTERNAL" {
		t.Errorf("DescribeKey of a key without material: %v, error %v", described, err)
	}

	keys, err := client.ListKeys(&alikms.ListKeysRequest{
		Filters: tea.String(`[{"Key":"KeyUsage","Values":["SIGN/VERIFY"]},{"Key":"KeyState","Values":["Enabled"]}]`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if found := keys.Body.Keys.Key; len(found) != 1 || tea.StringValue(found[0].KeyId) != id || tea.Int32Value(keys.Body.TotalCount) != 1 {
		t.Errorf("ListKeys: %v", keys.Body)
	}

	public := []any{cloud.KMS().PublicKey(id, "")}
	for range 11 {
		version, err := cloud.KMS().AddKeyVersion(id)
		if err != nil {
			t.Fatal(err)
		}
		public = append(public, cloud.KMS().PublicKey(id, version))
	}
	if !public[11].(*ecdsa.PublicKey).Equal(cloud.KMS().PublicKey(id, "")) || public[0].(*ecdsa.PublicKey).Equal(public[11]) {
		t.Error("the newest version has not the newest key")
	}
	var dates []string
	for page, want := range map[int32]int{1: 10, 2: 2, 3: 0} {
		listed, err := client.ListKeyVersions(&alikms.ListKeyVersionsRequest{KeyId: tea.String(id), PageNumber: tea.Int32(page)})
		if err != nil {
			t.Fatal(err)
		}
		if found := len(listed.Body.KeyVersions.KeyVersion); found != want || tea.Int32Value(listed.Body.TotalCount) != 12 {
			t.Errorf("page %d has %d versions of %d, want %d of 12", page, found, tea.Int32Value(listed.Body.TotalCount), want)
		}
		for _, v := range listed.Body.KeyVersions.KeyVersion {
			dates = append(dates, tea.StringValue(v.CreationDate))
		}
	}
	slices.Sort(dates)
	if len(slices.Compact(dates)) != 12 {
		t.Errorf("versions of the same age: %q", dates)
	}
	_, err = client.ListKeyVersions(&alikms.ListKeyVersionsRequest{KeyId: tea.String(id), PageSize: tea.Int32(101)})
	refusedWith(t, err, 400, "InvalidParameter")
}

func TestKMSMistakes(t *testing.T) {
	cloud := start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	addKey(t, cloud, kms.KeyOptions{ID: "key-1", Spec: "EC_P256", Alias: "alias/1"})
	for _, o := range []kms.KeyOptions{
		{Spec: "EC_P384"},
		{Spec: "RSA_2048", Material: p256},
		{Spec: "EC_P256K", Material: p256},
		{Spec: "EC_P256", Material: p384},
		{Spec: "EC_P256", Alias: "signer"},
		{Spec: "EC_P256", Alias: "alias/1"},
		{Spec: "EC_P256", ID: "key-1"},
		{Spec: "EC_P256", Instance: "kst-unknown"},
		{Spec: "EC_P256", Instance: kstID, Region: "cn-beijing"},
	} {
		if id, err := cloud.KMS().AddKey(o); err == nil {
			t.Errorf("%+v was accepted as %s", o, id)
		}
	}
	for _, instance := range [][2]string{{"hzz", ""}, {kstID, ""}, {"kst-x", "Hangzhou"}} {
		if err := cloud.AddKMSInstance(instance[0], instance[1]); err == nil {
			t.Errorf("instance %q was accepted", instance)
		}
	}
	if _, _, err := cloud.KMS().AddClientKey("kst-unknown"); err == nil {
		t.Error("a client key of an unknown instance was made")
	}
}
