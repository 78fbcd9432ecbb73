package kms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"software.sslmate.com/src/go-pkcs12"
)

// roundTrip answers requests without a network.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// answer is the answer to all requests.
type answer struct {
	status int
	body   string
}

// canned returns clients whose requests are all answered with what is in a at that time.
func canned(a *answer) (*OpenAPI, *ClientKey) {
	client := &http.Client{Transport: roundTrip(func(r *http.Request) *http.Response {
		return &http.Response{Status: fmt.Sprint(a.status), StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}
	})}
	o := must(NewOpenAPI(Config{Region: "cn-hangzhou", Identity: static{}}))
	o.main.api.HTTP = client
	c := must(NewClientKey(ClientKeyConfig{Endpoint: kstHost, Key: cannedKey(), Password: password}))
	c.http = client
	return o, c
}

var cannedKey = sync.OnceValue(func() []byte {
	return clientKeyFile(pkcs12.LegacyDES, rsaKey(), certificateOf(rsaKey(), time.Now().Add(time.Hour)))
})

// public returns a public key as KMS gives it.
func public(key crypto.PublicKey) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))}))
}

// fields is a reply of either protocol.
type fields map[string]any

func (f fields) json() string { return string(must(json.Marshal(f))) }

// with returns f with another value of a field.
func (f fields) with(name string, value any) fields {
	changed := fields{name: value}
	for other, value := range f {
		if other != name {
			changed[other] = value
		}
	}
	return changed
}

func TestOpenAPIReplies(t *testing.T) {
	describe := func(c *OpenAPI) error { _, err := c.DescribeKey(t.Context(), "key-1"); return err }
	versions := func(c *OpenAPI) error { _, err := c.KeyVersions(t.Context(), "key-1"); return err }
	publicKey := func(c *OpenAPI) error { _, err := c.PublicKey(t.Context(), "key-1", "v1"); return err }
	newest := func(c *OpenAPI) error { _, err := c.PublicKey(t.Context(), "key-1", ""); return err }
	sign := func(c *OpenAPI) error { _, err := c.Sign(t.Context(), "key-1", "v1", ECDSA, [32]byte{}); return err }
	current := func(c *OpenAPI) error { _, err := c.Secret(t.Context(), "s", SecretVersion{}); return err }
	byARN := func(c *OpenAPI) error {
		_, err := c.PublicKey(t.Context(), "acs:kms:cn-hangzhou:1:key/key-1", "v1")
		return err
	}
	byAliasARN := func(c *OpenAPI) error {
		_, err := c.PublicKey(t.Context(), "acs:kms:cn-hangzhou:1:alias/a", "v1")
		return err
	}
	byID := func(c *OpenAPI) error { _, err := c.Secret(t.Context(), "s", SecretVersion{ID: "v1"}); return err }

	key := fields{"KeyId": "key-1", "KeyVersionId": "v1", "PublicKey": public(ecKey().Public())}
	signature := fields{"KeyId": "key-1", "KeyVersionId": "v1", "Value": "aHVzaA=="}
	secret := fields{"SecretName": "s", "VersionId": "v1", "SecretData": "hush", "SecretDataType": "text", "VersionStages": fields{"VersionStage": []string{"ACSCurrent"}}}
	list := func(total any, versions ...any) fields {
		return fields{"TotalCount": total, "KeyVersions": fields{"KeyVersion": versions}}
	}
	version := fields{"KeyVersionId": "v1", "CreationDate": "2024-01-02T03:04:05Z"}
	for name, tc := range map[string]struct {
		ask  func(*OpenAPI) error
		body string
		want string // empty: right
	}{
		"key":                      {publicKey, key.json(), ""},
		"key without its version":  {publicKey, key.with("KeyVersionId", nil).json(), ""},
		"another key":              {publicKey, key.with("KeyId", "key-2").json(), "the reply is about key key-2"},
		"another version":          {publicKey, key.with("KeyVersionId", "v2").json(), "the reply is about key version v2"},
		"no KeyId":                 {publicKey, key.with("KeyId", nil).json(), "no KeyId"},
		"no PublicKey":             {publicKey, key.with("PublicKey", nil).json(), "PublicKey is not PEM"},
		"PublicKey as a number":    {publicKey, key.with("PublicKey", 1).json(), "PublicKey is a JSON number"},
		"a certificate":            {publicKey, key.with("PublicKey", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").json(), "not PEM"},
		"broken PublicKey":         {publicKey, key.with("PublicKey", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n").json(), "the reply's PublicKey"},
		"an Ed25519 key":           {publicKey, key.with("PublicKey", public(ed25519.PublicKey(make([]byte, 32)))).json(), "does not document"},
		"a P-384 key":              {publicKey, key.with("PublicKey", public(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public())).json(), "P-384"},
		"a short RSA key":          {publicKey, key.with("PublicKey", public(must(rsa.GenerateKey(rand.Reader, 1024)).Public())).json(), "1024 bits"},
		"a failure with 200":       {publicKey, `{"Code":"Forbidden.KeyNotFound","Message":"m","RequestId":"r"}`, "RequestId r; check the key's ID"},
		"nothing":                  {publicKey, `{}`, "no KeyId"},
		"signature":                {sign, signature.json(), ""},
		"signature by another key": {sign, signature.with("KeyId", "key-2").json(), "key-2"},
		"by another version":       {sign, signature.with("KeyVersionId", "v2").json(), "v2"},
		"no signature":             {sign, signature.with("Value", nil).json(), "Value has 0 bytes"},
		"signature not in base64":  {sign, signature.with("Value", "!").json(), "Value is not base64"},
		"too long a signature":     {sign, signature.with("Value", strings.Repeat("AAAA", 25)).json(), "Value has 75 bytes"},
		"key by ARN":               {byARN, key.json(), ""},
		"another key by ARN":       {byARN, key.with("KeyId", "key-2").json(), "the reply is about key key-2"},
		"key by ARN of an alias":   {byAliasARN, key.with("KeyId", "key-2").json(), ""},
		"two keys":                 {publicKey, key.with("PublicKey", public(ecKey().Public())+public(rsaKey().Public())).json(), "more than one"},
		"text before the key":      {publicKey, key.with("PublicKey", "hush\n"+public(ecKey().Public())).json(), ""},
		"metadata":                 {describe, fields{"KeyMetadata": fields{"KeyId": "key-1", "KeySpec": "RSA_2048"}}.json(), ""},
		"another key's metadata":   {describe, fields{"KeyMetadata": fields{"KeyId": "key-2", "KeySpec": "RSA_2048"}}.json(), "the reply is about key key-2"},
		"no metadata":              {describe, `{"RequestId":"r"}`, "no KeyMetadata.KeyId"},
		"no spec":                  {describe, fields{"KeyMetadata": fields{"KeyId": "key-1"}}.json(), "no KeyMetadata.KeySpec"},
		"versions":                 {versions, list(1, version).json(), ""},
		"no versions":              {versions, list(0).json(), ""},
		"no newest version":        {newest, list(0).json(), "the key has no version"},
		"no count":                 {versions, list(nil, version).json(), "no TotalCount"},
		"absurdly many":            {versions, list(1001, version).json(), "more than 1000 versions"},
		"a page twice":             {versions, list(2, version).json(), "version v1 twice"},
		"a version twice":          {versions, list(2, version, version).json(), "version v1 twice"},
		"a list that ends early":   {versions, list(2).json(), "ends after 0 of 2"},
		"a version without ID":     {versions, list(1, version.with("KeyVersionId", "")).json(), "without KeyVersionId"},
		"a version without date":   {versions, list(1, version.with("CreationDate", "yesterday")).json(), "CreationDate of version v1"},
		"secret":                   {current, secret.json(), ""},
		"secret by ID":             {byID, secret.with("VersionStages", nil).json(), ""},
		"binary secret":            {current, secret.with("SecretDataType", "binary").json(), ""},
		"broken binary secret":     {current, secret.with("SecretDataType", "binary").with("SecretData", "hush!").json(), "not base64"},
		"another secret":           {current, secret.with("SecretName", "t").json(), "secret t"},
		"another secret version":   {byID, secret.with("VersionId", "v2").json(), "version v2"},
		"another stage":            {current, secret.with("VersionStages", fields{"VersionStage": []string{"ACSPrevious"}}).json(), "not at stage ACSCurrent"},
		"no data":                  {current, secret.with("SecretData", "").json(), "no SecretData"},
		"no secret version":        {current, secret.with("VersionId", "").json(), "no VersionId"},
		"data as an object":        {current, secret.with("SecretData", fields{"hush": 1}).json(), "SecretData is a JSON object"},
		"no JSON":                  {current, "hush", "not a JSON object"},
	} {
		client, _ := canned(&answer{http.StatusOK, tc.body})
		err := tc.ask(client)
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if failed, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") || failed.StatusCode != 200 {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// A list whose pages are never full ends.
func TestEndlessList(t *testing.T) {
	client, _ := canned(&answer{})
	client.main.api.HTTP.Transport = roundTrip(func(r *http.Request) *http.Response {
		body := fmt.Sprintf(`{"TotalCount":1000,"KeyVersions":{"KeyVersion":[{"KeyVersionId":"v%s","CreationDate":"2024-01-02T03:04:05Z"}]}}`,
			r.URL.Query().Get("PageNumber"))
		return &http.Response{Status: "200 OK", StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	})
	if _, err := client.KeyVersions(t.Context(), "key-1"); err == nil || !strings.Contains(err.Error(), "ends after 10 of 1000") {
		t.Error(err)
	}
}

// wire returns a message of fields by number.
func wire(values map[protowire.Number]string) string {
	var message []byte
	for number, value := range values {
		message = append(message, encode(field{number, value})...)
	}
	return string(message)
}

func TestClientKeyReplies(t *testing.T) {
	describe := func(c *ClientKey) error { _, err := c.DescribeKey(t.Context(), "key-1"); return err }
	sign := func(c *ClientKey) error { _, err := c.Sign(t.Context(), "key-1", "", RSAPSS, [32]byte{}); return err }
	current := func(c *ClientKey) error { _, err := c.Secret(t.Context(), "s", SecretVersion{}); return err }
	type values = map[protowire.Number]string
	for name, tc := range map[string]struct {
		ask    func(*ClientKey) error
		status int
		body   string
		want   string // empty: right
	}{
		"key":                    {describe, 200, wire(values{1: "key-1", 2: public(rsaKey().Public())}), ""},
		"unknown fields, too":    {describe, 200, wire(values{1: "key-1", 2: public(rsaKey().Public()), 99: "x"}) + "\xa0\x06\x01", ""},
		"another key":            {describe, 200, wire(values{1: "key-2", 2: public(rsaKey().Public())}), "the reply is about key key-2"},
		"no key":                 {describe, 200, "", "no KeyId"},
		"no PEM":                 {describe, 200, wire(values{1: "key-1", 2: "hush"}), "not PEM"},
		"not UTF-8":              {describe, 200, wire(values{1: "key-\xff"}), "KeyId is not UTF-8"},
		"a page":                 {describe, 200, "<html>hush</html>", "not a Protocol Buffers message"},
		"a broken message":       {describe, 200, "\x0a\x7fkey", "not a Protocol Buffers message"},
		"signature":              {sign, 200, wire(values{1: "key-1", 2: "signature", 4: "RSA_PSS_SHA_256"}), ""},
		"by another key":         {sign, 200, wire(values{1: "key-2", 2: "signature"}), "key-2"},
		"by another algorithm":   {sign, 200, wire(values{1: "key-1", 2: "signature", 4: "ECDSA_SHA_256"}), "by ECDSA_SHA_256, not RSA_PSS_SHA_256"},
		"no signature":           {sign, 200, wire(values{1: "key-1"}), "Signature has 0 bytes"},
		"too long a signature":   {sign, 200, wire(values{1: "key-1", 2: strings.Repeat("x", 513)}), "Signature has 513 bytes"},
		"secret":                 {current, 200, wire(values{1: "s", 3: "hush", 4: "text", 5: "ACSCurrent", 6: "v1"}), ""},
		"another secret":         {current, 200, wire(values{1: "t", 3: "hush", 6: "v1"}), "secret t"},
		"no data":                {current, 200, wire(values{1: "s", 6: "v1"}), "no SecretData"},
		"an error":               {describe, 404, wire(values{2: "Forbidden.KeyNotFound", 3: "m", 4: "r"}) + "\x08\x94\x03", "Forbidden.KeyNotFound: m (HTTP 404), RequestId r; check the key's ID"},
		"an error without code":  {describe, 400, wire(values{3: "hush"}), "400"},
		"an error not in UTF-8":  {describe, 400, wire(values{2: "\xff"}), "not a Protocol Buffers message"},
		"an error in JSON":       {describe, 400, `{"Code":"hush"}`, "not a Protocol Buffers message"},
		"another key's instance": {describe, 401, wire(values{2: "SignatureNotMatch"}), "must be of the same KMS instance"},
		"a deleted client key":   {describe, 404, wire(values{2: "InvalidAccessKeyId.NotFound"}), "must be of the same KMS instance"},
		"a wrong clock":          {describe, 400, wire(values{2: "RequestTimeTooSkewed"}), "check NTP"},
	} {
		_, client := canned(&answer{tc.status, tc.body})
		err := tc.ask(client)
		if tc.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if failed, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") || failed.StatusCode != tc.status {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// Whatever a service answers, there is a value that is complete, or an *Error.
func FuzzReplies(f *testing.F) {
	f.Add(200, fields{"KeyId": "key-1", "KeyVersionId": "v1", "PublicKey": public(ecKey().Public()), "Value": "AAAA"}.json())
	f.Add(200, fields{"KeyId": "key-1", "PublicKey": public(rsaKey().Public()), "Value": "AAAA"}.json())
	f.Add(200, `{"TotalCount":1,"KeyVersions":{"KeyVersion":[{"KeyVersionId":"v1","CreationDate":"2024-01-02T03:04:05Z"}]},"KeyMetadata":{"KeyId":"k","KeySpec":"s"}}`)
	f.Add(200, `{"SecretName":"s","VersionId":"v1","SecretData":"AAAA","SecretDataType":"binary","VersionStages":{"VersionStage":["ACSCurrent"]}}`)
	f.Add(200, wire(map[protowire.Number]string{1: "key-1", 2: public(rsaKey().Public())}))
	f.Add(200, wire(map[protowire.Number]string{1: "s", 3: "data", 4: "text", 5: "ACSCurrent", 6: "v1"}))
	f.Add(404, wire(map[protowire.Number]string{2: "Forbidden.KeyNotFound", 3: "m", 4: "r"}))
	f.Add(403, `{"Code":"Forbidden.NoPermission","Message":"m","RequestId":"r"}`)
	var a answer
	o, c := canned(&a)
	o.cfg.Timeout, c.cfg.Timeout = time.Millisecond, time.Millisecond // too little for a second attempt
	f.Fuzz(func(t *testing.T, status int, body string) {
		a = answer{200 + (status%400+400)%400, body}
		for _, client := range []Client{o, c} {
			version := map[bool]string{true: "v1"}[client == Client(o)]
			key, err := client.PublicKey(t.Context(), "key-1", version)
			check(t, err, key.KeyID == "key-1" && key.Spec != "" && (key.Key != nil || key.Spec == ECP256K || key.Spec == ECSM2))
			signature, err := client.Sign(t.Context(), "key-1", version, RSAPSS, [32]byte{})
			check(t, err, signature.KeyID == "key-1" && len(signature.Value) > 0 && len(signature.Value) <= maxRSA)
			secret, err := client.Secret(t.Context(), "s", SecretVersion{})
			check(t, err, secret.Name == "s" && secret.Version != "")
			described, err := client.DescribeKey(t.Context(), "key-1")
			check(t, err, described.ID != "" && described.Spec != "")
			if client == Client(o) {
				versions, err := client.KeyVersions(t.Context(), "key-1")
				check(t, err, len(versions) <= maxVersions)
			}
		}
	})
}

func check(t *testing.T, err error, complete bool) {
	t.Helper()
	if _, failed := errors.AsType[*Error](err); err == nil && !complete || err != nil && !failed {
		t.Errorf("%v, complete: %t", err, complete)
	}
}
