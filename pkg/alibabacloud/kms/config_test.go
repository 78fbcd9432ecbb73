package kms

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

func TestConfigs(t *testing.T) {
	t.Setenv("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "")
	now := time.Now()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificateOf(ecKey(), now.Add(time.Hour)).Raw})
	broken := bytes.Replace(ca, []byte("\nMII"), []byte("\nAAA"), 1)
	for name, tc := range map[string]struct {
		cfg   Config
		field string // empty: right
		host  string // or its error
	}{
		"region":              {Config{Region: "cn-hangzhou"}, "", "kms.cn-hangzhou.aliyuncs.com"},
		"endpoint only":       {Config{Endpoint: "https://Proxy.example.com:8443/"}, "", "proxy.example.com:8443"},
		"nothing":             {Config{}, "region", "is needed"},
		"broken region":       {Config{Region: "cn-hangzhou.evil"}, "region", "not a region ID"},
		"broken network":      {Config{Region: "cn-hangzhou", Network: "intranet"}, "network", `"intranet"`},
		"broken endpoint":     {Config{Endpoint: "http://kms.example.com"}, "endpoint", "https only"},
		"broken timeout":      {Config{Region: "cn-hangzhou", Timeout: -1}, "timeout", "more than 0"},
		"too long a timeout":  {Config{Region: "cn-hangzhou", Timeout: time.Hour}, "timeout", "at most 1m0s"},
		"CA without endpoint": {Config{Region: "cn-hangzhou", CABundle: ca}, "caBundle", "endpoint is not given"},
		"no certificate":      {Config{Endpoint: kstHost, CABundle: []byte("text")}, "caBundle", ""},
		"broken certificate":  {Config{Endpoint: kstHost, CABundle: broken}, "caBundle", ""},
		"CA":                  {Config{Endpoint: kstHost, CABundle: ca}, "", kstHost},
	} {
		tc.cfg.Identity = static{}
		client, err := NewOpenAPI(tc.cfg)
		if tc.field == "" {
			if err != nil || client.String() != "KMS at "+tc.host+" as access key nobody" {
				t.Errorf("%s: %v, %v", name, client, err)
			}
			continue
		}
		if mistake, ok := errors.AsType[*parameter.Error](err); !ok || mistake.Field != tc.field || !strings.Contains(err.Error(), tc.host) {
			t.Errorf("%s: %v, want %s: %s", name, err, tc.field, tc.host)
		}
	}
	if _, err := NewOpenAPI(Config{Region: "cn-hangzhou"}); err == nil || !strings.Contains(err.Error(), "Identity") {
		t.Errorf("without an identity: %v", err)
	}

	file := clientKeyFile(pkcs12.LegacyDES, rsaKey(), certificateOf(rsaKey(), now.Add(time.Hour)))
	for field, cfg := range map[string]ClientKeyConfig{
		"":          {Endpoint: kstHost, CABundle: ca},
		"endpoint":  {},
		"caBundle":  {Endpoint: kstHost, CABundle: []byte("text")},
		"timeout":   {Endpoint: kstHost, Timeout: -1},
		"clientKey": {Endpoint: kstHost, Now: func() time.Time { return now.Add(2 * time.Hour) }},
	} {
		cfg.Key, cfg.Password = file, password
		client, err := NewClientKey(cfg)
		if field == "" {
			if text := fmt.Sprintf("%v %+v %#v %v %+v %#v", cfg, cfg, cfg, &cfg, client, client); strings.Contains(text, "hush") || strings.Contains(text, fmt.Sprint(file[:9])) {
				t.Errorf("a secret is printed: %s", text)
			}
			if err != nil || client.String() != "KMS at "+kstHost+" as client key KAAP.1" || client.Expires().Sub(now).Round(time.Minute) != time.Hour {
				t.Errorf("%v, %v", client, err)
			}
		} else if mistake, ok := errors.AsType[*parameter.Error](err); !ok || mistake.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Whatever the transport is, its own trust and connections stay as they are.
func TestTrustingLeavesTheTransport(t *testing.T) {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificateOf(ecKey(), time.Now().Add(time.Hour)).Raw})
	base := &http.Transport{}
	own, err := trusting(base, ca)
	if err != nil || own == base || own.TLSClientConfig.RootCAs == nil || !own.ForceAttemptHTTP2 || own.TLSClientConfig.InsecureSkipVerify {
		t.Errorf("%+v, %v", own, err)
	}
	if base.TLSClientConfig != nil && base.TLSClientConfig.RootCAs != nil {
		t.Error("the given transport's trust was changed")
	}
	if own, err := trusting(orDefault(nil), ca); err != nil || own == http.DefaultTransport || own.Proxy == nil {
		t.Errorf("without a transport: %+v, %v", own, err)
	}
}
