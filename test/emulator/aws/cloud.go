package aws

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/registry"
)

const (
	// Account and Region are where the role and the registry are.
	Account = "123456789012"
	Region  = "us-east-1"
	// RegistryHost is the registry's.
	RegistryHost = Account + ".dkr.ecr." + Region + ".amazonaws.com"
	// RoleARN is the role of the pod's service account.
	RoleARN = "arn:aws:iam::" + Account + ":role/ratify"
	// STSHost and ECRHost are the hosts of the APIs in Region.
	STSHost = "sts." + Region + ".amazonaws.com"
	ECRHost = "api.ecr." + Region + ".amazonaws.com"

	sessionLife = time.Hour
	tokenLife   = 12 * time.Hour
)

// Cloud is a running cloud. End it with Close.
type Cloud struct {
	*network.Network
	// Registry is the one at RegistryHost.
	Registry *registry.Registry

	dir string

	mu        sync.Mutex
	identity  string            // the web identity token that STS takes
	sessions  map[string]string // secret session tokens by access key
	passwords []string          // that the registry takes
}

// Start starts a cloud, and writes the pod's token and the cloud's certificate authority to files in dir.
func Start(dir string) (*Cloud, error) {
	c := &Cloud{dir: dir, sessions: map[string]string{}}
	c.Registry = registry.New(func(user, password string) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return user == "AWS" && slices.Contains(c.passwords, password)
	})
	var err error
	if c.Network, err = network.New(c.resolve, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if err = c.Rotate(); err == nil {
		err = os.WriteFile(filepath.Join(dir, "aws-ca.pem"), c.CAPEM(), 0o600)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Rotate replaces the pod's web identity token; the old one is not taken any more.
func (c *Cloud) Rotate() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = "token-" + rand.Text()
	return os.WriteFile(c.tokenFile(), []byte(c.identity), 0o600)
}

func (c *Cloud) tokenFile() string { return filepath.Join(c.dir, "aws-token") }

// PodEnv returns KEY=value of what a pod has by EKS's webhook, and how it reaches the cloud.
func (c *Cloud) PodEnv() []string {
	return append(c.IdentityEnv(), "HTTPS_PROXY="+c.ProxyURL(), "SSL_CERT_FILE="+filepath.Join(c.dir, "aws-ca.pem"))
}

// IdentityEnv is PodEnv without how the cloud is reached.
func (c *Cloud) IdentityEnv() []string {
	return []string{"AWS_REGION=" + Region, "AWS_DEFAULT_REGION=" + Region, "AWS_STS_REGIONAL_ENDPOINTS=regional",
		"AWS_ROLE_ARN=" + RoleARN, "AWS_WEB_IDENTITY_TOKEN_FILE=" + c.tokenFile()}
}

func (c *Cloud) resolve(host string) network.Service {
	switch host {
	case STSHost:
		return service{action: "AssumeRoleWithWebIdentity", handle: c.assumeRole}
	case ECRHost:
		return service{action: "GetAuthorizationToken", handle: c.authorizationToken}
	case RegistryHost:
		return c.Registry
	}
	return nil
}

// service is an API with one action.
type service struct {
	action string
	handle http.HandlerFunc
}

func (s service) Action(*http.Request) string                      { return s.action }
func (s service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handle(w, r) }

// assumeRole is https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html, which is not signed.
func (c *Cloud) assumeRole(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	deny := func(status int, code, message string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>`+
			`<RequestId>5a7a9d6c-0000-0000-0000-000000000000</RequestId></ErrorResponse>`, code, message)
	}
	switch {
	case r.Method != http.MethodPost || r.PostFormValue("Action") != "AssumeRoleWithWebIdentity" || r.PostFormValue("RoleSessionName") == "":
		deny(http.StatusBadRequest, "ValidationError", "not the action, or without a session name")
		return
	case r.PostFormValue("WebIdentityToken") != c.identity:
		deny(http.StatusBadRequest, "InvalidIdentityToken", "The ID token provided is not valid.")
		return
	case r.PostFormValue("RoleArn") != RoleARN:
		deny(http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		return
	}
	key, session := "ASIA"+rand.Text()[:16], rand.Text()
	c.sessions[key] = session
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>`+
		`<AssumedRoleUser><Arn>arn:aws:sts::%s:assumed-role/ratify/ratify</Arn><AssumedRoleId>AROA:ratify</AssumedRoleId></AssumedRoleUser>`+
		`<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>`+
		`</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>5a7a9d6c-0000-0000-0000-000000000000</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>`,
		Account, key, rand.Text(), session, time.Now().Add(sessionLife).UTC().Format(time.RFC3339))
}

// credential is of https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
var credential = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/\d{8}/([a-z0-9-]+)/ecr/aws4_request, SignedHeaders=[a-z0-9;-]+, Signature=[0-9a-f]{64}$`)

// authorizationToken is https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html
func (c *Cloud) authorizationToken(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	match := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	switch {
	case !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetAuthorizationToken"):
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"UnknownOperationException"}`)
		return
	case match == nil || match[2] != Region || c.sessions[match[1]] == "" || r.Header.Get("X-Amz-Security-Token") != c.sessions[match[1]]:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}`)
		return
	}
	password := rand.Text()
	c.passwords = append(c.passwords, password)
	_ = json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString([]byte("AWS:" + password)),
		"expiresAt":          float64(time.Now().Add(tokenLife).UnixMilli()) / 1000,
		"proxyEndpoint":      "https://" + RegistryHost,
	}}})
}
