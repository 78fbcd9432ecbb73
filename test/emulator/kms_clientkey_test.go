package emulator_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/alibabacloud-go/tea/tea"
	pb "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/openapi-util/protobuf/api"
	dkms "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/sdk"
	"google.golang.org/protobuf/proto"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

func secretRequest(name, stage string) *dkms.GetSecretValueRequest {
	return &dkms.GetSecretValueRequest{SecretName: tea.String(name), VersionStage: tea.String(stage)}
}

// clientKeyRefusedWith checks that the SDK of client keys reports an error of the instance.
func clientKeyRefusedWith(t *testing.T, err error, status int, code string) {
	t.Helper()
	var refusal *tea.SDKError
	if !errors.As(err, &refusal) {
		t.Errorf("error %v (%T), want one of the instance", err, err)
		return
	}
	if tea.StringValue(refusal.Code) != code || !strings.Contains(tea.StringValue(refusal.Data), fmt.Sprintf(`"httpCode":%d,`, status)) {
		t.Errorf("got %s (%s), want %d %s", tea.StringValue(refusal.Code), tea.StringValue(refusal.Data), status, code)
	}
}

// opened returns the ID and the private key of a client key.
func opened(t *testing.T, file []byte, password string) (string, *rsa.PrivateKey) {
	t.Helper()
	var content struct {
		KeyID          string `json:"KeyId"`
		PrivateKeyData []byte
	}
	if err := json.Unmarshal(file, &content); err != nil {
		t.Fatal(err)
	}
	private, _, err := pkcs12.Decode(content.PrivateKeyData, password)
	if err != nil {
		t.Fatal(err)
	}
	return content.KeyID, private.(*rsa.PrivateKey)
}

// TestKMSClientKeyRequests sends requests of the test's own, each wrong in one respect.
func TestKMSClientKeyRequests(t *testing.T) {
	now := testclock.At(time.Now())
	cloud := start(t, emulator.Options{Now: now.Now})
	for _, id := range []string{kstID, "kst-hzzother"} {
		if err := cloud.AddKMSInstance(id, ""); err != nil {
			t.Fatal(err)
		}
	}
	key := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID})
	disabled := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID})
	cloud.KMS().SetKeyState(disabled, kms.Disabled)
	other := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: "kst-hzzother"})
	aes := addKey(t, cloud, kms.KeyOptions{Spec: "Aliyun_AES_256", Instance: kstID})
	file, password, err := cloud.KMS().AddClientKey(kstID)
	if err != nil {
		t.Fatal(err)
	}
	id, private := opened(t, file, password)
	file, password, err = cloud.KMS().AddClientKey("kst-hzzother")
	if err != nil {
		t.Fatal(err)
	}
	otherID, _ := opened(t, file, password)
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(cloud.KMSInstanceCA(kstID))

	sign := func(id string) *pb.SignRequest {
		return &pb.SignRequest{KeyId: id, Message: make([]byte, 32), MessageType: "DIGEST"}
	}
	tests := []struct {
		name   string
		api    string
		body   proto.Message
		before func(http.Header) // changes what is signed
		after  func(*http.Request)
		status int
		code   string
	}{
		{"right", "Sign", sign(key), nil, nil, 200, ""},
		{"unknown API", "DescribeKey", &pb.GetPublicKeyRequest{KeyId: key}, nil, nil, 400, "InvalidApiName"},
		{"no API", "", sign(key), nil, nil, 400, "InvalidApiName"},
		{"another method", "Sign", sign(key), nil, func(r *http.Request) { r.Method = http.MethodPut }, 400, "InvalidApiName"},
		{"another version", "Sign", sign(key), func(h http.Header) { h.Set("X-Kms-Apiversion", "1") }, nil, 400, "InvalidApiVersion"},
		{"another method of signatures", "Sign", sign(key), func(h http.Header) { h.Set("X-Kms-Signaturemethod", "x") }, nil, 400, "InvalidParam"},
		{"no date", "Sign", sign(key), func(h http.Header) { h.Del("Date") }, nil, 400, "InvalidParam"},
		{"old", "Sign", sign(key), func(h http.Header) {
			h.Set("Date", now.Now().Add(-16*time.Minute).UTC().Format(http.TimeFormat))
		}, nil, 400, "RequestTimeTooSkewed"},
		{"early", "Sign", sign(key), func(h http.Header) {
			h.Set("Date", now.Now().Add(16*time.Minute).UTC().Format(http.TimeFormat))
		}, nil, 400, "RequestTimeTooSkewed"},
		{"no client key", "Sign", sign(key), func(h http.Header) { h.Del("X-Kms-Acccesskeyid") }, nil, 400, "MissingParameter"},
		{"unknown client key", "Sign", sign(key), func(h http.Header) { h.Set("X-Kms-Acccesskeyid", "KAAP.x") }, nil, 404, "InvalidAccessKeyId.NotFound"},
		{"another instance's client key", "Sign", sign(key), func(h http.Header) { h.Set("X-Kms-Acccesskeyid", otherID) }, nil, 404, "InvalidAccessKeyId.NotFound"},
		{"hash in lower case", "Sign", sign(key), func(h http.Header) {
			h.Set("Content-Sha256", strings.ToLower(h.Get("Content-Sha256")))
		}, nil, 401, "SignatureNotMatch"},
		{"header not signed", "Sign", sign(key), nil, func(r *http.Request) { r.Header.Set("X-Kms-Extra", "1") }, 401, "SignatureNotMatch"},
		{"another body", "Sign", sign(key), nil, func(r *http.Request) {
			body, _ := proto.Marshal(sign(other))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}, 401, "SignatureNotMatch"},
		{"another type", "Sign", sign(key), nil, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 401, "SignatureNotMatch"},
		{"no signature", "Sign", sign(key), nil, func(r *http.Request) { r.Header.Del("Authorization") }, 401, "SignatureNotMatch"},
		{"not Base64", "Sign", sign(key), nil, func(r *http.Request) { r.Header.Set("Authorization", "Bearer %") }, 401, "SignatureNotMatch"},
		{"too long", "Sign", &pb.SignRequest{KeyId: key, Message: make([]byte, 3<<20)}, nil, nil, 413, "RequestEntityTooLarge"},
		{"unknown key", "Sign", sign("key-hzzunknown"), nil, nil, 404, "Forbidden.KeyNotFound"},
		{"another instance's key", "GetPublicKey", &pb.GetPublicKeyRequest{KeyId: other}, nil, nil, 404, "Forbidden.KeyNotFound"},
		{"unknown alias", "GetPublicKey", &pb.GetPublicKeyRequest{KeyId: "alias/x"}, nil, nil, 404, "Forbidden.AliasNotFound"},
		{"no key", "GetPublicKey", &pb.GetPublicKeyRequest{}, nil, nil, 400, "MissingParameter"},
		{"disabled", "Sign", sign(disabled), nil, nil, 409, "Rejected.Disabled"},
		{"symmetric", "GetPublicKey", &pb.GetPublicKeyRequest{KeyId: aes}, nil, nil, 400, "UnsupportedOperation"},
		{"no message", "Sign", &pb.SignRequest{KeyId: key, Digest: make([]byte, 32)}, nil, nil, 400, "MissingParameter"},
		{"SHA-384", "Sign", &pb.SignRequest{KeyId: key, Message: make([]byte, 48), MessageType: "DIGEST"}, nil, nil, 400, "InvalidParameter"},
		{"another type of message", "Sign", &pb.SignRequest{KeyId: key, Message: make([]byte, 32), MessageType: "HASH"}, nil, nil, 400, "InvalidParameter"},
		{"another spec's algorithm", "Sign", &pb.SignRequest{KeyId: key, Message: []byte("x"), Algorithm: "SM2DSA"}, nil, nil, 400, "InvalidParameter"},
		{"not the message of the API", "Sign", &pb.GenerateRandomRequest{Length: 1}, nil, nil, 400, "MissingParameter"},
		{"no secret", "GetSecretValue", &pb.GetSecretValueRequest{}, nil, nil, 400, "MissingParameter"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body, err := proto.Marshal(test.body)
			if err != nil {
				t.Fatal(err)
			}
			request, err := http.NewRequestWithContext(soon(t), http.MethodPost, "https://"+instanceHost+"/", bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			h := request.Header
			h.Set("Content-Type", "application/x-protobuf")
			h.Set("Content-Sha256", fmt.Sprintf("%X", sha256.Sum256(body)))
			h.Set("Date", now.Now().UTC().Format(http.TimeFormat))
			h.Set("X-Kms-Acccesskeyid", id)
			if test.api != "" {
				h.Set("X-Kms-Apiname", test.api)
			}
			h.Set("X-Kms-Apiversion", "dkms-gcs-0.2")
			h.Set("X-Kms-Signaturemethod", "RSA_PKCS1_SHA_256")
			if test.before != nil {
				test.before(h)
			}
			text := "POST\n" + h.Get("Content-Sha256") + "\n" + h.Get("Content-Type") + "\n" + h.Get("Date") + "\n"
			for _, name := range []string{"Acccesskeyid", "Apiname", "Apiversion", "Signaturemethod"} {
				if value := h.Get("X-Kms-" + name); value != "" {
					text += "x-kms-" + strings.ToLower(name) + ":" + value + "\n"
				}
			}
			hash := sha256.Sum256([]byte(text + "/"))
			signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, hash[:])
			if err != nil {
				t.Fatal(err)
			}
			h.Set("Authorization", "Bearer "+base64.StdEncoding.EncodeToString(signature))
			if test.after != nil {
				test.after(request)
			}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			answer, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != test.status {
				t.Fatalf("got %s %q, error %v, want %d %s", response.Status, answer, err, test.status, test.code)
			}
			refusal := &pb.Error{}
			if test.status == http.StatusOK {
				return
			}
			if err := proto.Unmarshal(answer, refusal); err != nil || refusal.ErrorCode != test.code || int(refusal.StatusCode) != test.status ||
				refusal.RequestId == "" || refusal.ErrorMessage == "" {
				t.Errorf("got %v, error %v, want %s", refusal, err, test.code)
			}
		})
	}
}

func TestKMSClientKeyFaults(t *testing.T) {
	cloud := start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	key := addKey(t, cloud, kms.KeyOptions{Spec: "EC_P256", Instance: kstID})
	file, password, err := cloud.KMS().AddClientKey(kstID)
	if err != nil {
		t.Fatal(err)
	}
	client := clientKeyClient(t, cloud, file, password)
	get := func() error {
		_, err := client.GetPublicKeyWithOptions(&dkms.GetPublicKeyRequest{KeyId: tea.String(key)}, once)
		return err
	}
	endpoint := cloud.Endpoint(instanceHost)
	for status, code := range map[int]string{429: "Rejected.Throttling", 503: "ServiceUnavailableTemporary"} {
		fault := kms.ClientKeyFault(status, code, "later")
		fault.Times = 1
		endpoint.SetFault(fault)
		clientKeyRefusedWith(t, get(), status, code)
	}
	cloud.KMS().Deny("GetPublicKey")
	clientKeyRefusedWith(t, get(), http.StatusForbidden, "Forbidden.NoPermission")
	cloud.KMS().Deny("Sign")
	if err := get(); err != nil {
		t.Errorf("after the faults: %v", err)
	}
	if n := endpoint.CallsTo("GetPublicKey"); n != 4 {
		t.Errorf("%d calls counted, want 4", n)
	}

	// The SDK reads legacy PKCS #12 only.
	if file, password, err = cloud.KMS().AddModernClientKey(kstID); err != nil {
		t.Fatal(err)
	}
	if id, private := opened(t, file, password); !strings.HasPrefix(id, "KAAP.") || private.Size() != 256 {
		t.Errorf("client key %s of %d bytes", id, private.Size())
	}
	// An instance's host is not verified with the cloud's authority.
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	request, err := http.NewRequestWithContext(soon(t), http.MethodGet, "https://"+instanceHost+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := transport.RoundTrip(request); err == nil {
		response.Body.Close()
		t.Error("the instance's certificate is one of the cloud's authority")
	} else if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		t.Errorf("error %v, want an unknown authority", err)
	}
}
