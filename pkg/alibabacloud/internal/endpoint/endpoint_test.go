package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"cr.cn-hangzhou.aliyuncs.com":          "cr.cn-hangzhou.aliyuncs.com",
		"https://cr.cn-hangzhou.aliyuncs.com/": "cr.cn-hangzhou.aliyuncs.com",
		"127.0.0.1:8443":                       "127.0.0.1:8443",
		"http://cr.cn-hangzhou.aliyuncs.com":   "",
		"cr.cn-hangzhou.aliyuncs.com/path":     "",
		"user@cr.cn-hangzhou.aliyuncs.com":     "",
		"cr.cn-hangzhou.aliyuncs.com?x=1":      "",
		"-a":                                   "",
		"":                                     "",
		"a b":                                  "",
	} {
		got, err := Parse(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Parse(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestCheckRegion(t *testing.T) {
	for in, ok := range map[string]bool{
		"cn-hangzhou": true, "ap-southeast-1": true, "cn-shanghai-finance-1": true, "cn-north-2-gov-1": true, "rus-west-1": true,
		"": false, "hangzhou": false, "CN-hangzhou": false, "cn-hangzhou.evil": false, "cn-": false,
	} {
		if err := CheckRegion(in); (err == nil) != ok {
			t.Errorf("CheckRegion(%q): %v", in, err)
		}
	}
}

func TestRemedy(t *testing.T) {
	for want, err := range map[string]error{
		"SSL_CERT_FILE":       &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
		"clock":               &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}}},
		"DNS":                 &net.DNSError{Err: "no such host", IsTimeout: true},
		"nothing listens":     syscall.ECONNREFUSED,
		"s3.example port 444": context.DeadlineExceeded,
		"gave up":             context.Canceled,
		"check the network":   syscall.ECONNRESET,
	} {
		if got := Remedy(fmt.Errorf("wrapped: %w", err), "s3.example:444"); !strings.Contains(got, want) {
			t.Errorf("Remedy(%v) = %q, want %q in it", err, got, want)
		}
	}
	if got := Remedy(context.DeadlineExceeded, "s3.example"); !strings.Contains(got, "port 443") {
		t.Errorf("%q lacks the port", got)
	}
}
