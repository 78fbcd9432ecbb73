package aws

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/aws"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
)

const artifact = aws.RegistryHost + "/team/app"

func TestMain(m *testing.M) {
	// Nothing of the machine that the tests run on counts.
	os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	os.Setenv("AWS_CONFIG_FILE", os.DevNull)
	os.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	os.Unsetenv("AWS_CA_BUNDLE")
	os.Exit(m.Run())
}

// start starts a cloud whose pod this process is, and makes a provider in it.
func start(t *testing.T) (*aws.Cloud, *Provider) {
	t.Helper()
	cloud, err := aws.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	for _, variable := range cloud.IdentityEnv() {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	p, err := New(map[string]any{"name": Name}, Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return cloud, p
}

// admitted tells whether the registry takes the credentials.
func admitted(t *testing.T, cloud *aws.Cloud, user, password string) bool {
	t.Helper()
	transport := cloud.Transport()
	defer transport.CloseIdleConnections()
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+aws.RegistryHost+"/v2/", nil)
	req.SetBasicAuth(user, password)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestProvide(t *testing.T) {
	cloud, p := start(t)
	for range 2 {
		got, err := p.Provide(t.Context(), artifact)
		if err != nil {
			t.Fatal(err)
		}
		if !admitted(t, cloud, got.Username, got.Password) {
			t.Error("the registry does not take the credentials")
		}
		if left := time.Until(got.ExpiresOn); left < 11*time.Hour || left > 12*time.Hour-margin {
			t.Errorf("they are used for %s", left)
		}
	}
	if calls := cloud.Calls(); calls[aws.STSHost+" AssumeRoleWithWebIdentity"] != 1 || calls[aws.ECRHost+" GetAuthorizationToken"] != 2 {
		t.Errorf("calls %v: a session serves several tokens", calls)
	}
}

func TestCABundle(t *testing.T) {
	cloud, _ := start(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, cloud.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for bundle, trusted := range map[string]bool{"": false, file: true} {
		t.Setenv("AWS_CA_BUNDLE", bundle)
		others := x509.NewCertPool()
		p, err := New(map[string]any{"name": Name}, Options{Transport: &http.Transport{Proxy: cloud.Transport().Proxy, TLSClientConfig: &tls.Config{RootCAs: others}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Provide(t.Context(), artifact); (err == nil) != trusted {
			t.Errorf("AWS_CA_BUNDLE=%q: %v", bundle, err)
		}
		if !others.Equal(x509.NewCertPool()) {
			t.Error("AWS's authority is trusted by whoever else has the transport")
		}
	}
}

// The token file is read anew for each session.
func TestTokenRotation(t *testing.T) {
	cloud, _ := start(t)
	if err := cloud.Rotate(); err != nil {
		t.Fatal(err)
	}
	transport := cloud.Transport()
	defer transport.CloseIdleConnections()
	p, err := New(map[string]any{"name": Name}, Options{Transport: transport})
	if err == nil {
		err = cloud.Rotate()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Provide(t.Context(), artifact); err != nil {
		t.Error(err)
	}
}

func TestHosts(t *testing.T) {
	cloud, p := start(t)
	for host, covered := range map[string]bool{
		aws.RegistryHost:                                        true,
		strings.ToUpper(aws.RegistryHost):                       true,
		aws.RegistryHost + ":443":                               true,
		"123456789012.dkr.ecr-fips.us-east-1.amazonaws.com":     true,
		"123456789012.dkr-ecr.us-east-1.on.aws":                 true,
		aws.RegistryHost + ".evil.com":                          false,
		"a.b.c.us-east-1.evil.com":                              false,
		"123456789012.dkr.ecr.us-east-1.evil.com":               false,
		"123456789012.dkr.ecr.us-east-1.amazonaws.com:5000":     false,
		"x123456789012.dkr.ecr.us-east-1.amazonaws.com":         false,
		"evil.com.123456789012.dkr.ecr.us-east-1.amazonaws.com": false,
		"public.ecr.aws":                                        false,
		"docker.io":                                             false,
		"":                                                      false,
	} {
		cloud.ResetCalls()
		_, err := p.Provide(t.Context(), host+"/app")
		if errors.Is(err, authprovider.ErrNotCovered) == covered || covered != (err == nil) {
			t.Errorf("%s: %v", host, err)
		}
		if calls := cloud.Calls(); !covered && len(calls) > 0 && calls[aws.ECRHost+" GetAuthorizationToken"] > 0 {
			t.Errorf("%s: calls %v", host, calls)
		}
	}
}

// Upstream's variables send the calls of one region elsewhere.
func TestOverriddenEndpoint(t *testing.T) {
	cloud, p := start(t)
	t.Setenv("AWS_API_OVERRIDE_ENDPOINT", "https://ecr.example.com")
	for region, overridden := range map[string]bool{aws.Region: true, "eu-west-1": false} {
		t.Setenv("AWS_API_OVERRIDE_REGION", region)
		cloud.ResetCalls()
		_, err := p.Provide(t.Context(), artifact)
		if overridden != (err != nil) || overridden != (cloud.Calls()["ecr.example.com CONNECT"] > 0) {
			t.Errorf("override of %s: %v, calls %v", region, err, cloud.Calls())
		}
	}
}

func TestFaults(t *testing.T) {
	for name, test := range map[string]struct {
		host  string
		fault network.Fault
		want  string
	}{
		"STS refuses":       {aws.STSHost, network.Fault{Status: 403, Body: `<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>`}, "AccessDenied"},
		"STS fails":         {aws.STSHost, network.Fault{Status: 500}, "500"},
		"ECR refuses":       {aws.ECRHost, network.Fault{Status: 400, Body: `{"__type":"AccessDeniedException","message":"not authorized to perform: ecr:GetAuthorizationToken"}`}, "ecr:GetAuthorizationToken"},
		"ECR fails":         {aws.ECRHost, network.Fault{Status: 503}, "503"},
		"no data":           {aws.ECRHost, network.Fault{Status: 200, Body: `{"authorizationData":[]}`}, "no authorization token"},
		"empty data":        {aws.ECRHost, network.Fault{Status: 200, Body: `{"authorizationData":[{}]}`}, "no authorization token"},
		"no password":       {aws.ECRHost, network.Fault{Status: 200, Body: `{"authorizationData":[{"authorizationToken":"QVdT"}]}`}, "no authorization token"},
		"not base64":        {aws.ECRHost, network.Fault{Status: 200, Body: `{"authorizationData":[{"authorizationToken":"top:secret"}]}`}, "no authorization token"},
		"no JSON":           {aws.ECRHost, network.Fault{Status: 200, Body: `<html>`}, "ECR"},
		"endless answer":    {aws.ECRHost, network.Fault{Status: 200, Body: `{"authorizationData":[{"authorizationToken":"` + strings.Repeat("A", maxAnswer)}, "more than"},
		"dropped":           {aws.ECRHost, network.Fault{Reset: true}, "ECR"},
		"STS never answers": {aws.STSHost, network.Fault{Hang: true}, "canceled"},
		"ECR never answers": {aws.ECRHost, network.Fault{Hang: true}, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud, p := start(t)
			e, err := cloud.Endpoint(test.host)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.fault.Hang { // given up once it is reached, however long that takes
				test.fault.Match = func(*http.Request) bool { cancel(); return true }
			}
			e.SetFault(test.fault)
			_, err = p.Provide(ctx, artifact)
			if err == nil || errors.Is(err, authprovider.ErrNotCovered) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v; want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "top:secret") {
				t.Errorf("token in %q", err)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	start(t)
	if _, err := New(map[string]any{"name": Name, "region": "x"}, Options{}); err == nil || !strings.Contains(err.Error(), `unknown key "region"`) {
		t.Errorf("unknown key: %v", err)
	}
	for _, name := range required {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "")
			if _, err := New(map[string]any{"name": Name}, Options{}); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
		})
	}
}
