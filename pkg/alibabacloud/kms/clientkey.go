package kms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// ClientKeyConfig is the configuration of a ClientKey.
type ClientKeyConfig struct {
	Endpoint string // host[:port] of the dedicated instance, <instance>.cryptoservice.kms.aliyuncs.com
	Key      []byte // the file clientKey_*.json
	Password string // of Key
	CABundle []byte // PEM: the authorities that Endpoint is verified with, instead of the system's; the file PrivateKmsCA_*.pem

	Timeout   time.Duration                    // of one call, retries included; default 10 s
	Transport *http.Transport                  // default http.DefaultTransport, which honours HTTPS_PROXY and SSL_CERT_FILE
	Now       func() time.Time                 // default time.Now
	OnRequest func(service string, status int) // told of each request to "kms", for metrics; status 0 is one without an answer
}

// String names the endpoint only, so that printing a configuration shows no secret.
func (c ClientKeyConfig) String() string { return "client key for KMS at " + c.Endpoint }

// GoString is String, for %#v.
func (c ClientKeyConfig) GoString() string { return c.String() }

// ClientKey is a Client of a dedicated instance's own protocol, with the rights of an application access point. Make one with NewClientKey.
// The protocol knows no versions of keys: it uses the primary one.
type ClientKey struct {
	cfg        ClientKeyConfig
	credential *credential
	http       *http.Client
}

// NewClientKey returns a client. It calls nothing yet. Errors are *parameter.Error about "endpoint", "clientKey", "password", "caBundle" or "timeout".
func NewClientKey(cfg ClientKeyConfig) (*ClientKey, error) {
	var err error
	if cfg.Endpoint == "" {
		return nil, parameter.Errorf("endpoint", "is needed: <instance>.cryptoservice.kms.aliyuncs.com")
	}
	if cfg.Endpoint, err = parseEndpoint(cfg.Endpoint); err != nil {
		return nil, err
	}
	if cfg.Timeout, err = checkTimeout(cfg.Timeout); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.OnRequest == nil {
		cfg.OnRequest = func(string, int) {}
	}
	c := &ClientKey{cfg: cfg}
	if c.credential, err = parseClientKey(cfg.Key, cfg.Password, cfg.Now()); err != nil {
		return nil, err
	}
	c.cfg.Key, c.cfg.Password = nil, "" // not needed any more
	transport, err := trusting(orDefault(cfg.Transport), cfg.CABundle)
	if err != nil {
		return nil, err
	}
	// Offered only to a server that asks for one.
	certificate := &tls.Certificate{Certificate: [][]byte{c.credential.certificate.Raw}, PrivateKey: c.credential.key}
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	c.http = openapi.NewHTTPClient(flight.Transport(transport))
	return c, nil
}

// String names the endpoint and the client key.
func (c *ClientKey) String() string {
	return fmt.Sprintf("KMS at %s as %s", c.cfg.Endpoint, c.credential)
}

// Expires returns when the client key ends. The instance refuses it from then on.
func (c *ClientKey) Expires() time.Time { return c.credential.certificate.NotAfter }

// DescribeKey implements Client.
func (c *ClientKey) DescribeKey(ctx context.Context, keyID string) (Key, error) {
	key, err := c.PublicKey(ctx, keyID, "")
	return Key{ID: key.KeyID, Spec: key.Spec}, err
}

// KeyVersions implements Client.
func (c *ClientKey) KeyVersions(_ context.Context, keyID string) ([]KeyVersion, error) {
	return nil, c.unsupported("listing the versions of key "+keyID, "use RAM credentials for this")
}

// unsupported returns the error of what the protocol does not have.
func (c *ClientKey) unsupported(what, instead string) error {
	return fmt.Errorf("%s at %s: %w with a client key; %s", what, c.cfg.Endpoint, ErrUnsupported, instead)
}

// checkVersion returns an error if a version of a key is asked for.
func (c *ClientKey) checkVersion(keyID, version string) error {
	if version == "" {
		return nil
	}
	return c.unsupported("choosing version "+version+" of key "+keyID, "give no version for the key's primary one, or use RAM credentials")
}

// PublicKey implements Client.
func (c *ClientKey) PublicKey(ctx context.Context, keyID, version string) (PublicKey, error) {
	if err := c.checkVersion(keyID, version); err != nil {
		return PublicKey{}, err
	}
	return askInstance(ctx, c, "GetPublicKey", subject(keyID, ""), encode(field{1, keyID}), func(m message) (PublicKey, error) {
		var answered answeredKey
		var text string
		if err := m.read(named{"KeyId", 1, &answered.KeyID}, named{"PublicKey", 2, &text}); err != nil {
			return PublicKey{}, err
		}
		if err := answered.check(keyID, ""); err != nil {
			return PublicKey{}, err
		}
		key, spec, err := parsePublicKey([]byte(text))
		return PublicKey{KeyID: answered.KeyID, Spec: spec, Key: key}, err
	})
}

// Sign implements Client.
func (c *ClientKey) Sign(ctx context.Context, keyID, version string, algorithm Algorithm, digest [sha256.Size]byte) (Signature, error) {
	if err := c.checkVersion(keyID, version); err != nil {
		return Signature{}, err
	}
	// The digest goes into the field Message: MessageType tells that it is one.
	request := encode(field{1, keyID}, field{3, string(algorithm)}, field{4, string(digest[:])}, field{5, "DIGEST"})
	return askInstance(ctx, c, "Sign", subject(keyID, ""), request, func(m message) (Signature, error) {
		var answered answeredKey
		var made string
		if err := m.read(named{"KeyId", 1, &answered.KeyID}, named{"Algorithm", 4, &made}); err != nil {
			return Signature{}, err
		}
		if err := answered.check(keyID, ""); err != nil {
			return Signature{}, err
		}
		if made != "" && made != string(algorithm) {
			return Signature{}, fmt.Errorf("the reply's signature is by %s, not %s", reply.Text(made), algorithm)
		}
		return Signature{KeyID: answered.KeyID, Value: m.bytes(2)}, checkSignature("Signature", algorithm, m.bytes(2))
	})
}

// Secret implements Client.
func (c *ClientKey) Secret(ctx context.Context, name string, version SecretVersion) (Secret, error) {
	stage := version.Stage
	if version.ID != "" {
		stage = ""
	}
	request := encode(field{1, name}, field{2, stage}, field{3, version.ID})
	return askInstance(ctx, c, "GetSecretValue", secretSubject(name, version), request, func(m message) (Secret, error) {
		var answered answeredSecret
		if err := m.read(named{"SecretName", 1, &answered.SecretName}, named{"SecretData", 3, &answered.SecretData},
			named{"SecretDataType", 4, &answered.SecretDataType}, named{"VersionId", 6, &answered.VersionID}); err != nil {
			return Secret{}, err
		}
		stages, err := m.texts("VersionStages", 5)
		if err != nil {
			return Secret{}, err
		}
		return answered.secret(name, version, stages)
	})
}

// askInstance makes a call within the timeout, and has check read the reply into what is asked for.
func askInstance[V any](ctx context.Context, c *ClientKey, op, subject string, request []byte, check func(message) (V, error)) (V, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return retry.Do(ctx, func(ctx context.Context) (v V, err error) {
		failure := &Error{Op: op, Subject: subject, Endpoint: c.cfg.Endpoint, Identity: c.credential.String(), accessPoint: true}
		answer, ok := c.exchange(ctx, op, request, &failure.Failure)
		if !ok {
			return v, failure
		}
		if v, err = check(answer); err != nil {
			failure.Err = err
			return v, failure
		}
		return v, nil
	})
}

// exchange makes one request. ok says that there is an answer that came with status 200; else failure says why not.
func (c *ClientKey) exchange(ctx context.Context, op string, request []byte, failure *reply.Failure) (answer message, ok bool) {
	req, err := c.request(ctx, op, request)
	if err != nil {
		failure.Err = err
		return nil, false
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.cfg.OnRequest("kms", 0)
		var outer *url.Error // its text repeats the URL
		if errors.As(err, &outer) {
			err = outer.Err
		}
		failure.Err = err
		return nil, false
	}
	defer resp.Body.Close()
	c.cfg.OnRequest("kms", resp.StatusCode)
	failure.StatusCode, failure.RetryAfter = resp.StatusCode, retry.After(resp.Header, time.Now())
	body, err := reply.Bounded(resp)
	if err != nil {
		failure.Err = err
		return nil, false
	}
	answer, err = decodeMessage(body)
	if err != nil {
		failure.Err = reply.Foreign(resp, len(body), err)
		return nil, false
	}
	if resp.StatusCode == http.StatusOK {
		return answer, true
	}
	if err := answer.read(named{"ErrorCode", 2, &failure.Code}, named{"ErrorMessage", 3, &failure.Message}, named{"RequestId", 4, &failure.RequestID}); err != nil {
		failure.Err = reply.Foreign(resp, len(body), errNotMessage)
		return nil, false
	}
	failure.Code, failure.Message, failure.RequestID = reply.Text(failure.Code), reply.Text(failure.Message), reply.Text(failure.RequestID)
	if failure.Code == "" {
		failure.Err = reply.Foreign(resp, len(body), errNotMessage)
	}
	return nil, false
}

// request returns a signed request. See https://www.alibabacloud.com/help/en/kms/key-management-service/request-signatures-1, according to which
// the signature follows "TOKEN"; Alibaba Cloud's own SDK sends "Bearer", and so does this. The three c's of the header's name are theirs.
func (c *ClientKey) request(ctx context.Context, op string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.cfg.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	const kind, method = "application/x-protobuf", "RSA_PKCS1_SHA_256"
	sum := fmt.Sprintf("%X", sha256.Sum256(body))
	date := c.cfg.Now().UTC().Format(http.TimeFormat)
	text := strings.Join([]string{http.MethodPost, sum, kind, date, "x-kms-acccesskeyid:" + c.credential.id, "x-kms-apiname:" + op,
		"x-kms-apiversion:dkms-gcs-0.2", "x-kms-signaturemethod:" + method, "/"}, "\n")
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, c.credential.key, crypto.SHA256, digest[:])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.credential, err)
	}
	for name, value := range map[string]string{
		"Accept": kind, "Content-Type": kind, "Content-Sha256": sum, "Date": date, "Authorization": "Bearer " + base64.StdEncoding.EncodeToString(signature),
		"X-Kms-Acccesskeyid": c.credential.id, "X-Kms-Apiname": op, "X-Kms-Apiversion": "dkms-gcs-0.2", "X-Kms-Signaturemethod": method,
	} {
		req.Header.Set(name, value)
	}
	return req, nil
}
