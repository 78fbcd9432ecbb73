package emulator_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"sync"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	alikms "github.com/alibabacloud-go/kms-20160120/v3/client"
	"github.com/alibabacloud-go/tea/tea"
	dkmsopenapi "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/openapi"
	dkmsutil "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/openapi-util"
	dkms "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/sdk"
	"github.com/aliyun/credentials-go/credentials"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	secp256k1ecdsa "github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

const (
	kmsHost      = "kms.cn-hangzhou.aliyuncs.com"
	kstID        = "kst-hzz0123456789"
	instanceHost = kstID + ".cryptoservice.kms.aliyuncs.com"
)

// doer sends the SDK's requests with a transport of the test's. The SDK's own clients are pooled by host, whatever the CA.
type doer struct{ transport *http.Transport }

func (d doer) Call(request *http.Request, _ *http.Transport) (*http.Response, error) {
	return d.transport.RoundTrip(request)
}

// kmsClient returns the SDK's client of the OpenAPI at a host.
func kmsClient(t *testing.T, cloud *emulator.Cloud, host string, credential credentials.Credential) *alikms.Client {
	t.Helper()
	transport := cloud.Transport()
	if host == instanceHost {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(cloud.KMSInstanceCA(kstID))
	}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := alikms.NewClient(&openapi.Config{Credential: credential, Endpoint: tea.String(host), HttpClient: doer{transport}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func addKey(t *testing.T, cloud *emulator.Cloud, o kms.KeyOptions) string {
	t.Helper()
	id, err := cloud.KMS().AddKey(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// versions returns the IDs of a key's versions, as listed.
func versions(t *testing.T, client *alikms.Client, keyID string) []string {
	t.Helper()
	response, err := client.ListKeyVersions(&alikms.ListKeyVersionsRequest{KeyId: tea.String(keyID)})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, v := range response.Body.KeyVersions.KeyVersion {
		ids = append(ids, tea.StringValue(v.KeyVersionId))
	}
	return ids
}

// checkSignature checks a signature with a public key in PEM.
func checkSignature(t *testing.T, publicPEM, algorithm string, digest, signature []byte) {
	t.Helper()
	block, rest := pem.Decode([]byte(publicPEM))
	if block == nil || block.Type != "PUBLIC KEY" || len(rest) > 0 {
		t.Fatalf("public key %q", publicPEM)
	}
	ok := false
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	switch key := public.(type) {
	case *rsa.PublicKey:
		if algorithm == "RSA_PKCS1_SHA_256" {
			ok = rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
		} else {
			ok = rsa.VerifyPSS(key, crypto.SHA256, digest, signature, &rsa.PSSOptions{SaltLength: len(digest)}) == nil
		}
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, digest, signature)
	default:
		// crypto/x509 does not know secp256k1. The point is the end of the SubjectPublicKeyInfo.
		point, failure := secp256k1.ParsePubKey(block.Bytes[len(block.Bytes)-65:])
		if failure != nil {
			t.Fatal(err, failure)
		}
		parsed, failure := secp256k1ecdsa.ParseDERSignature(signature)
		ok = failure == nil && parsed.Verify(digest, point)
	}
	if !ok {
		t.Errorf("not a signature by %s: %x", algorithm, signature)
	}
}

func TestKMSSignatures(t *testing.T) {
	cloud := start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("payload"))
	credential := accessKey(t, cloud)
	shared := kmsClient(t, cloud, kmsHost, credential)
	for spec, algorithms := range map[string][]string{
		"RSA_2048": {"RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"},
		"EC_P256":  {"ECDSA_SHA_256"},
		"EC_P256K": {"ECDSA_SHA_256"},
	} {
		id := addKey(t, cloud, kms.KeyOptions{Spec: spec, Instance: kstID})
		version := versions(t, shared, id)[0]
		for _, host := range []string{kmsHost, "kms-vpc.cn-hangzhou.aliyuncs.com", instanceHost} {
			client := kmsClient(t, cloud, host, credential)
			public, err := client.GetPublicKey(&alikms.GetPublicKeyRequest{KeyId: tea.String(id), KeyVersionId: tea.String(version)})
			if err != nil {
				t.Fatal(err)
			}
			for _, algorithm := range algorithms {
				response, err := client.AsymmetricSign(&alikms.AsymmetricSignRequest{
					KeyId: tea.String(id), KeyVersionId: tea.String(version), Algorithm: tea.String(algorithm),
					Digest: tea.String(base64.StdEncoding.EncodeToString(digest[:])),
				})
				if err != nil {
					t.Fatal(err)
				}
				signature, err := base64.StdEncoding.DecodeString(tea.StringValue(response.Body.Value))
				if err != nil || tea.StringValue(response.Body.KeyId) != id || tea.StringValue(response.Body.KeyVersionId) != version {
					t.Errorf("%v, error %v", response.Body, err)
				}
				checkSignature(t, tea.StringValue(public.Body.PublicKey), algorithm, digest[:], signature)
			}
		}
	}
	if n := cloud.Calls()[kmsHost+" AsymmetricSign"]; n != 4 {
		t.Errorf("%d signatures at %s, want 4", n, kmsHost)
	}
	if bytes.Equal(cloud.KMSInstanceCA(kstID), cloud.CAPEM()) {
		t.Error("the instance has no authority of its own")
	}
}

// clientKeyClient returns the SDK's client of a dedicated instance's own protocol, with a client key.
func clientKeyClient(t *testing.T, cloud *emulator.Cloud, file []byte, password string) *dkms.Client {
	t.Helper()
	client, err := dkms.NewClient(&dkmsopenapi.Config{
		Protocol:         tea.String("https"),
		Endpoint:         tea.String(instanceHost),
		ClientKeyContent: tea.String(string(file)),
		Password:         tea.String(password),
		HttpsProxy:       tea.String(proxyOf(cloud)),
		Ca:               tea.String(string(cloud.KMSInstanceCA(kstID))),
		ReadTimeout:      tea.Int(10_000),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// once lets the SDK try a call once.
var once = &dkmsutil.RuntimeOptions{Autoretry: tea.Bool(false)}

func TestKMSClientKey(t *testing.T) {
	cloud := start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	file, password, err := cloud.KMS().AddClientKey(kstID)
	if err != nil {
		t.Fatal(err)
	}
	client := clientKeyClient(t, cloud, file, password)
	message := []byte("payload")
	digest := sha256.Sum256(message)
	for spec, algorithms := range map[string][]string{
		"RSA_2048": {"", "RSA_PSS_SHA_256", "RSA_PKCS1_SHA_256"},
		"EC_P256":  {"", "ECDSA_SHA_256"},
		"EC_P256K": {""},
	} {
		id := addKey(t, cloud, kms.KeyOptions{Spec: spec, Instance: kstID, Alias: "alias/" + spec})
		public, err := client.GetPublicKeyWithOptions(&dkms.GetPublicKeyRequest{KeyId: tea.String(id)}, once)
		if err != nil {
			t.Fatal(err)
		}
		for _, algorithm := range algorithms {
			for messageType, content := range map[string][]byte{"RAW": message, "DIGEST": digest[:]} {
				request := &dkms.SignRequest{KeyId: tea.String("alias/" + spec), Message: content, MessageType: tea.String(messageType)}
				if algorithm != "" {
					request.Algorithm = tea.String(algorithm)
				}
				response, err := client.SignWithOptions(request, once)
				if err != nil {
					t.Fatal(err)
				}
				if tea.StringValue(response.KeyId) != id || algorithm != "" && tea.StringValue(response.Algorithm) != algorithm {
					t.Errorf("%s: %v", spec, response)
				}
				checkSignature(t, tea.StringValue(public.PublicKey), tea.StringValue(response.Algorithm), digest[:], response.Signature)
			}
		}
	}
	if calls := cloud.Calls(); calls[instanceHost+" Sign"] != 12 || calls[instanceHost+" GetPublicKey"] != 3 {
		t.Errorf("calls %v", calls)
	}
}

// TestKMSConcurrently lets the race detector see calls, changes of keys and changes of secrets at the same time.
func TestKMSConcurrently(t *testing.T) {
	cloud := start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	id := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID})
	file, password, err := cloud.KMS().AddClientKey(kstID)
	if err != nil {
		t.Fatal(err)
	}
	shared, instance := kmsClient(t, cloud, kmsHost, accessKey(t, cloud)), clientKeyClient(t, cloud, file, password)
	// Clients of the SDKs are not safe for concurrent use: each has one goroutine.
	var running sync.WaitGroup
	running.Go(func() {
		for range 4 {
			if _, err := shared.ListKeyVersions(&alikms.ListKeyVersionsRequest{KeyId: tea.String(id)}); err != nil {
				t.Error(err)
			}
		}
	})
	running.Go(func() {
		for range 4 {
			request := &dkms.SignRequest{KeyId: tea.String(id), Message: []byte("payload"), MessageType: tea.String("RAW")}
			if _, err := instance.SignWithOptions(request, once); err != nil {
				t.Error(err)
			}
		}
	})
	for range 4 {
		running.Go(func() {
			cloud.KMS().PutSecret("signer", "value")
			if _, err := cloud.KMS().AddKeyVersion(id); err != nil {
				t.Error(err)
			}
			cloud.KMS().SetKeyState(id, kms.Enabled)
		})
	}
	running.Wait()
}
