package emulator

import (
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

// RoleARN returns the role that the cluster's service account ratify/ratify-admin may assume.
func (c *Cloud) RoleARN() string { return ram.RoleARN }

// OIDCProviderARN returns the identity provider that trusts the cluster.
func (c *Cloud) OIDCProviderARN() string { return ram.ProviderARN }

// AddAccessKey makes an access key of the account, which may do everything.
func (c *Cloud) AddAccessKey() (id, secret string) { return c.directory.AddAccessKey() }

// Token returns a signed OIDC token as the kubelet projects it.
func (c *Cloud) Token(o TokenOptions) string {
	token, err := c.directory.Issuer.Token(o)
	if err != nil {
		panic("emulator: signing an OIDC token: " + err.Error())
	}
	return token
}

// ExpireTokens makes all OIDC tokens that were issued before now expired, those of a real cluster included.
func (c *Cloud) ExpireTokens() { c.directory.Issuer.Expire() }

// WriteTokenFile replaces the pod's token file by one with a new token and a line break, and returns its path, which is always
// the same.
func (c *Cloud) WriteTokenFile(o TokenOptions) string {
	if err := c.writeToken(o); err != nil {
		panic("emulator: writing the token file: " + err.Error())
	}
	return c.tokenFile()
}

func (c *Cloud) tokenFile() string { return filepath.Join(c.dir, "token") }

// writeToken replaces the file in one step, as the kubelet does, so that no reader sees half of it.
func (c *Cloud) writeToken(o TokenOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.tokenFile() + ".next"
	if err := os.WriteFile(next, []byte(c.Token(o)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, c.tokenFile())
}

// PodEnv returns as KEY=value all that an unmodified program needs: the way to the cloud, and what the RRSA webhook injects.
func (c *Cloud) PodEnv() []string {
	return []string{
		"HTTPS_PROXY=" + c.ProxyURL(),
		"SSL_CERT_FILE=" + c.CAFile(),
		"ALIBABA_CLOUD_ROLE_ARN=" + c.RoleARN(),
		"ALIBABA_CLOUD_OIDC_PROVIDER_ARN=" + c.OIDCProviderARN(),
		"ALIBABA_CLOUD_OIDC_TOKEN_FILE=" + c.tokenFile(),
		"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
	}
}
