package acs3

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// documented is the example of
// https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature.
func documented() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://ecs.cn-shanghai.aliyuncs.com/"+
		"?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai", nil)
	r.Header.Set("x-acs-action", "RunInstances")
	r.Header.Set("x-acs-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	r.Header.Set("x-acs-date", "2023-10-26T10:22:32Z")
	r.Header.Set("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d")
	r.Header.Set("x-acs-version", "2014-05-26")
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"+
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"+
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")
	return r
}

const documentedSecret = "YourAccessKeySecret"

func verify(r *http.Request, body, secret string) error {
	auth, err := Parse(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	return auth.Verify(r, []byte(body), secret)
}

func TestVerify(t *testing.T) {
	tests := []struct {
		name   string
		change func(*http.Request)
		body   string
		secret string
		want   error
	}{
		{name: "as documented"},
		{name: "another secret", secret: "another", want: ErrMismatch},
		{name: "another body", body: "x", want: ErrMismatch},
		{name: "another method", change: func(r *http.Request) { r.Method = http.MethodGet }, want: ErrMismatch},
		{name: "another path", change: func(r *http.Request) { r.URL.Path = "/x" }, want: ErrMismatch},
		{name: "another query", change: func(r *http.Request) { r.URL.RawQuery += "&x=1" }, want: ErrMismatch},
		{name: "another host", change: func(r *http.Request) { r.Host = "127.0.0.1:1" }, want: ErrMismatch},
		{name: "another action", change: func(r *http.Request) { r.Header.Set("x-acs-action", "x") }, want: ErrMismatch},
		{name: "a header that is not signed", change: func(r *http.Request) { r.Header.Set("X-Acs-Security-Token", "x") }, want: ErrIncomplete},
		{name: "host not signed", change: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		}, want: ErrIncomplete},
		{name: "query in another order", change: func(r *http.Request) {
			pairs := strings.Split(r.URL.RawQuery, "&")
			slices.Reverse(pairs)
			r.URL.RawQuery = strings.Join(pairs, "&")
		}},
		{name: "white space around a header", change: func(r *http.Request) { r.Header.Set("x-acs-action", " RunInstances ") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := documented()
			if test.change != nil {
				test.change(r)
			}
			secret := documentedSecret
			if test.secret != "" {
				secret = test.secret
			}
			if err := verify(r, test.body, secret); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func TestCanonicalQuery(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/?b=%20%2A~%2F%3D&a=%E4%BA%91&Z=1", nil)
	if got, want := canonicalQuery(r.URL.Query()), "Z=1&a=%E4%BA%91&b=%20%2A~%2F%3D"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParse(t *testing.T) {
	for _, header := range []string{
		"",
		"Bearer x",
		Algorithm,
		Algorithm + " Credential=a,SignedHeaders=host",
		Algorithm + " Credential=a,SignedHeaders=host,Signature=",
		Algorithm + " Credential=a,Credential=b,SignedHeaders=host,Signature=c",
		Algorithm + " Credential=a,SignedHeaders=host,Signature=c,Other=d",
		Algorithm + " Credential,SignedHeaders=host,Signature=c",
	} {
		if _, err := Parse(header); !errors.Is(err, ErrIncomplete) {
			t.Errorf("Parse(%q): error %v, want ErrIncomplete", header, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(documented().Header.Get("Authorization"))
	f.Add(Algorithm + " Credential=a,SignedHeaders=;,Signature=b")
	f.Add(Algorithm + " =,,=")
	f.Fuzz(func(t *testing.T, header string) {
		auth, err := Parse(header)
		if err != nil {
			if !errors.Is(err, ErrIncomplete) {
				t.Errorf("error %v does not wrap ErrIncomplete", err)
			}
			return
		}
		if auth.AccessKeyID == "" || auth.Signature == "" || len(auth.SignedHeaders) == 0 {
			t.Errorf("Parse(%q) accepted %+v", header, auth)
		}
	})
}
