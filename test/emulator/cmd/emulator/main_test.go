package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alibabacloud-go/tea/tea"
	dkmsopenapi "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/openapi"
	dkms "github.com/aliyun/alibabacloud-dkms-gcs-go-sdk/sdk"
	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParse(t *testing.T) {
	demo := emulator.Instance{Name: "demo", ID: "cri-demo000000000001", Region: "cn-hangzhou"}
	old := emulator.Instance{Name: "old", ID: "cri-old0000000000001", Region: "cn-hangzhou", NoReferrersAPI: true}
	named := demo
	named.ID = "cri-abcdefghij123456"
	far := demo
	far.Region = "eu-central-1"
	legacy := named
	legacy.NoReferrersAPI = true
	tests := []struct {
		args []string
		want []emulator.Instance
	}{
		{nil, []emulator.Instance{demo}},
		{[]string{"--instance", "demo", "--no-referrers", "old"}, []emulator.Instance{demo, old}},
		{[]string{"--no-referrers", "old"}, []emulator.Instance{old}},
		{[]string{"--instance", "demo=cri-abcdefghij123456"}, []emulator.Instance{named}},
		{[]string{"--instance", "demo=cri-abcdefghij123456", "--no-referrers", "demo"}, []emulator.Instance{legacy}},
		{[]string{"--region", "eu-central-1"}, []emulator.Instance{far}},
	}
	for _, test := range tests {
		got, err := parse(test.args, io.Discard)
		if err != nil || !slices.EqualFunc(got.instances, test.want, func(a, b emulator.Instance) bool {
			return a.Name == b.Name && a.ID == b.ID && a.Region == b.Region && a.NoReferrersAPI == b.NoReferrersAPI
		}) {
			t.Errorf("%q: got %+v, error %v, want %+v", test.args, got.instances, err, test.want)
		}
	}
	got, err := parse([]string{"--token-lifetime", "90s", "--bearer-lifetime", "2s", "--session-lifetime", "1m"}, io.Discard)
	if o := got.options; err != nil || o.TokenLifetime != 90*time.Second || o.BearerLifetime != 2*time.Second || o.SessionLifetime != time.Minute {
		t.Errorf("lifetimes: %+v, error %v", o, err)
	}
	for _, args := range [][]string{{"demo"}, {"--token-lifetime", "soon"}, {"--unknown"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
	if _, err := parse([]string{"--help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: error %v", err)
	}
}

func TestRunRefusesMistakes(t *testing.T) {
	for _, args := range [][]string{{"--region", "Hangzhou"}, {"--instance", "demo=cri-short"}, {"--instance", "Demo"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

// TestRun does with the printed lines what a shell would.
func TestRun(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"--instance", "demo", "--no-referrers", "old"}, write, io.Discard)
		write.Close()
	}()
	env := map[string]string{}
	var pushes []string
	lines := bufio.NewScanner(read)
	for len(pushes) < 2 && lines.Scan() {
		if entry, found := strings.CutPrefix(lines.Text(), "export "); found {
			name, value, _ := strings.Cut(entry, "=")
			env[name] = strings.Trim(value, "'")
		}
		if fields := strings.Fields(lines.Text()); strings.Contains(lines.Text(), "oras login") {
			pushes = append(pushes, fields[3])
		}
	}
	if want := []string{"demo-registry.cn-hangzhou.cr.aliyuncs.com", "old-registry.cn-hangzhou.cr.aliyuncs.com"}; !slices.Equal(pushes, want) {
		t.Errorf("pushes are explained for %v, want %v", pushes, want)
	}
	for _, alias := range []string{"alias/rsa", "alias/ec"} {
		keys, err := dkms.NewClient(&dkmsopenapi.Config{
			Protocol:      tea.String("https"),
			Endpoint:      tea.String(env["ALIBABA_CLOUD_KMS_INSTANCE_ENDPOINT"]),
			ClientKeyFile: tea.String(env["ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH"]),
			Password:      tea.String(env["ALIBABA_CLOUD_KMS_PASSWORD"]),
			CaFilePath:    tea.String(env["ALIBABA_CLOUD_KMS_CA_FILEPATH"]),
			HttpsProxy:    tea.String(env["HTTPS_PROXY"]),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := keys.Sign(&dkms.SignRequest{KeyId: tea.String(alias), Message: []byte("payload"), MessageType: tea.String("RAW")}); err != nil {
			t.Errorf("signing with %s: %v", alias, err)
		}
	}
	ca, err := os.ReadFile(env["SSL_CERT_FILE"])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	proxy, err := url.Parse(env["HTTPS_PROXY"])
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
	defer client.CloseIdleConnections()
	response, err := client.Get("https://old-registry-vpc.cn-hangzhou.cr.aliyuncs.com/v2/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("got %s, want a challenge", response.Status)
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}
