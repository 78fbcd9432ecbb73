package alibabacloudkms

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

func addKey(t *testing.T, cloud *emulator.Cloud, o kms.KeyOptions) string {
	t.Helper()
	id, err := cloud.KMS().AddKey(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func addVersion(t *testing.T, cloud *emulator.Cloud, id string) string {
	t.Helper()
	version, err := cloud.KMS().AddKeyVersion(id)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// All versions of a key count, one that is named alone, and an alias goes by its name.
func TestKeyVersions(t *testing.T) {
	cloud := startCloud(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	addKey(t, cloud, kms.KeyOptions{ID: "key-ec", Spec: "EC_P256"})
	addKey(t, cloud, kms.KeyOptions{ID: "key-rsa", Spec: "RSA_3072", Material: rsaKey, Alias: "alias/release"})
	addKey(t, cloud, kms.KeyOptions{ID: "key-pinned", Spec: "EC_P256"})
	pinned := addVersion(t, cloud, "key-pinned")
	addVersion(t, cloud, "key-pinned")
	p, _ := newProvider(t, cloud, fmt.Sprintf(`{"keys": [{"keyId": "key-ec"}, {"keyId": "alias/release"},
		{"keyId": "key-pinned", "keyVersionId": %q}]}`, pinned))
	r := good(t, p)
	if len(r.keys) != 3 {
		t.Fatalf("%d keys, want 3: %v", len(r.keys), r.keys)
	}
	found := make(map[string]string) // version by name
	for at, key := range r.keys {
		found[at.Name] = at.Version
		id := at.Name
		if id == "alias/release" {
			id = "key-rsa"
		}
		if want := cloud.KMS().PublicKey(id, at.Version).(interface{ Equal(crypto.PublicKey) bool }); !want.Equal(key) {
			t.Errorf("%v: another key", at)
		}
	}
	if found["key-pinned"] != pinned {
		t.Errorf("version %s of key-pinned, want %s", found["key-pinned"], pinned)
	}
	says(t, r.status, `"Spec":"EC_P256"`, `"Spec":"RSA_3072"`, `"Fingerprint":"`, `"Created":"`, `"Enabled":"true"`)

	second := addVersion(t, cloud, "key-ec")
	r = good(t, p)
	holds(t, r.keys, "key-ec/"+found["key-ec"], "key-ec/"+second, "alias/release/"+found["alias/release"], "key-pinned/"+pinned)
	if got, want := r.keys[keymanagementprovider.KMPMapKey{Name: "key-ec", Version: second}], cloud.KMS().PublicKey("key-ec", second); !want.(interface {
		Equal(crypto.PublicKey) bool
	}).Equal(got) {
		t.Error("the new version is another key")
	}
}

func TestKeyStates(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-stays", Spec: "EC_P256"})
	addKey(t, cloud, kms.KeyOptions{ID: "key-changes", Spec: "EC_P256"})
	p, _ := newProvider(t, cloud, `{"keys": [{"keyId": "key-stays"}, {"keyId": "key-changes"}]}`)
	if r := good(t, p); len(r.keys) != 2 {
		t.Fatalf("%v", r.keys)
	}
	for _, state := range []string{kms.Disabled, kms.PendingDeletion, kms.PendingImport} {
		cloud.KMS().SetKeyState("key-changes", state)
		r := good(t, p)
		if len(r.keys) != 1 {
			t.Errorf("%s: %v", state, r.keys)
		}
		says(t, r.status, `"Enabled":"false"`, `"Name":"key-changes"`, "is in state "+state)
		cloud.KMS().SetKeyState("key-changes", kms.Enabled)
		if r := good(t, p); len(r.keys) != 2 {
			t.Errorf("enabled after %s: %v", state, r.keys)
		}
	}
	cloud.KMS().DeleteKey("key-changes")
	r := good(t, p)
	if len(r.keys) != 1 {
		t.Errorf("deleted: %v", r.keys)
	}
	says(t, r.status, "Forbidden.KeyNotFound")
	if _, err := p.Degraded(); err != nil {
		t.Errorf("an answer is no failure: %v", err)
	}

	cloud.KMS().SetKeyState("key-stays", kms.Disabled)
	if r := refreshed(t.Context(), t, p); !errors.Is(r.err, keymaterial.ErrGone) {
		t.Errorf("none is left: %v", r.err)
	}
	cloud.KMS().SetKeyState("key-stays", kms.Enabled)
	if r := good(t, p); len(r.keys) != 1 {
		t.Errorf("enabled again: %v", r.keys)
	}
}

// Certificates stay trusted without the keys, and keys without the certificates.
func TestHalfIsGone(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-one", Spec: "EC_P256"})
	v := cloud.KMS().PutSecret("signer", root(t, "root").PEM())
	p, _ := newProvider(t, cloud, `{"certificates": [{"secretName": "signer"}], "keys": [{"keyId": "key-one"}]}`)
	good(t, p)
	cloud.KMS().SetKeyState("key-one", kms.Disabled)
	r := good(t, p)
	holds(t, r.certificates, "signer/"+v)
	holds(t, r.keys)
	cloud.KMS().SetKeyState("key-one", kms.Enabled)
	cloud.KMS().DeleteSecret("signer")
	r = good(t, p)
	holds(t, r.certificates)
	if len(r.keys) != 1 {
		t.Errorf("keys %v", r.keys)
	}
	cloud.KMS().DeleteKey("key-one")
	r = refreshed(t.Context(), t, p)
	if !errors.Is(r.err, keymaterial.ErrGone) {
		t.Fatalf("all is gone: %v", r.err)
	}
	says(t, r.err.Error(), "certificates[0]", "keys[0]")
}

func TestUnfitKeys(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-fine", Spec: "EC_P256"})
	for spec, test := range map[string]struct {
		o    kms.KeyOptions
		want string
	}{
		"key-sm2":   {kms.KeyOptions{Spec: "EC_SM2"}, "spec EC_SM2, whose signatures cosign does not verify"},
		"key-k":     {kms.KeyOptions{Spec: "EC_P256K"}, "spec EC_P256K"},
		"key-aes":   {kms.KeyOptions{Spec: "Aliyun_AES_256"}, "is for ENCRYPT/DECRYPT"},
		"key-usage": {kms.KeyOptions{Spec: "EC_P256", Usage: "ENCRYPT/DECRYPT"}, "is for ENCRYPT/DECRYPT"},
		"key-none":  {kms.KeyOptions{Spec: "EC_P256", Origin: "EXTERNAL"}, "is in state PendingImport"},
	} {
		test.o.ID = spec
		addKey(t, cloud, test.o)
		p, _ := newProvider(t, cloud, fmt.Sprintf(`{"keys": [{"keyId": "key-fine"}, {"keyId": %q}]}`, spec))
		r := good(t, p)
		if len(r.keys) != 1 {
			t.Errorf("%s: %v", spec, r.keys)
		}
		says(t, r.status, `"Name":"`+spec+`"`, test.want)
	}
	p, _ := newProvider(t, cloud, `{"keys": [{"keyId": "key-fine", "keyVersionId": "nonesuch"}]}`)
	if r := refreshed(t.Context(), t, p); !errors.Is(r.err, keymaterial.ErrGone) {
		t.Errorf("a version that there is not: %v", r.err)
	}
}

// An answer that lacks the state is no answer.
func TestUntoldState(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-one", Spec: "EC_P256"})
	p, _ := newProvider(t, cloud, `{"keys": [{"keyId": "key-one"}]}`)
	good(t, p)
	cloud.Endpoint(gateway).SetFault(emulator.Fault{Status: 200,
		Body:  `{"KeyMetadata": {"KeyId": "key-one", "KeySpec": "EC_P256", "KeyUsage": "SIGN/VERIFY"}}`,
		Match: func(r *http.Request) bool { return r.Header.Get("X-Acs-Action") == "DescribeKey" }})
	if r := good(t, p); len(r.keys) != 1 {
		t.Errorf("%v", r.keys)
	}
	if _, err := p.Degraded(); err == nil || !strings.Contains(err.Error(), "keys[0] (key key-one): KMS did not tell") {
		t.Errorf("degraded: %v", err)
	}
}

func TestTooManyVersions(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-old", Spec: "EC_P256"})
	for range maxVersions - 1 {
		addVersion(t, cloud, "key-old")
	}
	p, _ := newProvider(t, cloud, `{"keys": [{"keyId": "key-old"}]}`)
	if r := good(t, p); len(r.keys) != maxVersions {
		t.Errorf("%d versions, want %d", len(r.keys), maxVersions)
	}
	addVersion(t, cloud, "key-old")
	if r := good(t, p); len(r.keys) != maxVersions {
		t.Errorf("%d versions, want the %d of before", len(r.keys), maxVersions)
	}
	_, err := p.Degraded()
	if err == nil {
		t.Fatal("a version too many is not told")
	}
	says(t, err.Error(), "keys[0] (key key-old)", "51 versions", "keyVersionId")
}

// An alias is looked up once a read: the key whose state was told is the one whose versions are trusted, even if the alias moves meanwhile.
func TestAliasIsLookedUpOnce(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-one", Spec: "EC_P256", Alias: "alias/release"})
	cloud.Endpoint(gateway).SetFault(emulator.Fault{Status: 403, Body: `{"Code":"Forbidden.AliasNotFound"}`, Match: func(r *http.Request) bool {
		return r.Header.Get("X-Acs-Action") != "DescribeKey" && r.URL.Query().Get("KeyId") == "alias/release"
	}})
	p, _ := newProvider(t, cloud, `{"keys": [{"keyId": "alias/release"}]}`)
	if r := good(t, p); len(r.keys) != 1 {
		t.Errorf("%v", r.keys)
	}
}
