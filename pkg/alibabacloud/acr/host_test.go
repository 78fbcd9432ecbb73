package acr

import (
	"errors"
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	demo := Host{"demo", "cn-hangzhou"}
	singapore := Host{"demo", "ap-southeast-1"}
	for in, want := range map[string]Host{
		"demo-registry.cn-hangzhou.cr.aliyuncs.com":                      demo,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com:443":                  demo,
		"DEMO-Registry.CN-Hangzhou.cr.AliYunCS.com":                      demo,
		"demo-registry-vpc.cn-hangzhou.cr.aliyuncs.com":                  demo,
		"demo-registry-internal.cn-hangzhou.cr.aliyuncs.com":             demo,
		"demo-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com":      demo,
		"demo-registry.distributed.cn-hangzhou.cr.aliyuncs.com":          demo,
		"demo-registry-intl.ap-southeast-1.cr.aliyuncs.com":              singapore,
		"demo-registry-intl-vpc.ap-southeast-1.cr.aliyuncs.com":          singapore,
		"demo-registry-vpc-intl.ap-southeast-1.cr.aliyuncs.com":          singapore,
		"demo-registry-intl-internal.ap-southeast-1.cr.aliyuncs.com":     singapore,
		"demo-registry-internal-intl.ap-southeast-1.cr.aliyuncs.com:443": singapore,
		"a-b-registry.ap-southeast-1.cr.aliyuncs.com":                    {"a-b", "ap-southeast-1"},
		"my-registry-registry.cn-hangzhou.cr.aliyuncs.com":               {"my-registry", "cn-hangzhou"},
		"x-registry-vpc-registry-vpc.cn-hangzhou.cr.aliyuncs.com":        {"x-registry-vpc", "cn-hangzhou"},
		"1-registry.cn-shanghai-finance-1.cr.aliyuncs.com":               {"1", "cn-shanghai-finance-1"},
		"demo-registry.rus-west-1.cr.aliyuncs.com":                       {"demo", "rus-west-1"},
	} {
		if got, err := ParseHost(in); got != want || err != nil {
			t.Errorf("ParseHost(%q) = %v, %v; want %v", in, got, err, want)
		}
	}
}

func TestParseHostNotCovered(t *testing.T) {
	const useOther, personal, port = "another auth provider", "k8Secrets", "port 443"
	for in, want := range map[string]string{
		"": useOther,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com.evil.aliyuncs.com":        useOther,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com.":                         useOther,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com.evil.example":             useOther,
		"evil.example/demo-registry.cn-hangzhou.cr.aliyuncs.com":             useOther,
		"user@demo-registry.cn-hangzhou.cr.aliyuncs.com":                     useOther,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com\n":                        useOther,
		"demo-registry.cn-hangzhou.crXaliyuncs.com":                          useOther,
		"-registry.cn-hangzhou.cr.aliyuncs.com":                              useOther,
		"-demo-registry.cn-hangzhou.cr.aliyuncs.com":                         useOther,
		"a.demo-registry.cn-hangzhou.cr.aliyuncs.com":                        useOther,
		"demo-registry-vpc-vpc.cn-hangzhou.cr.aliyuncs.com":                  useOther,
		"demo-registry-vpc.cr.aliyuncs.com":                                  useOther,
		"demo-registry.hangzhou.cr.aliyuncs.com":                             useOther,
		"registry-vpc.cr.aliyuncs.com":                                       personal, // read as a host of the Personal Edition in a region "cr"
		"demo-registry.oss-cn-hangzhou.cr.aliyuncs.com":                      useOther,
		"registry.example.com":                                               useOther,
		"docker.io":                                                          useOther,
		"demo-chart.cn-hangzhou.cr.aliyuncs.com":                             "Helm charts",
		"demo-chart-vpc.cn-hangzhou.cr.aliyuncs.com":                         "Helm charts",
		"demo-registry.cn-hangzhou.cr.aliyuncs.com:80":                       port,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com:":                         port,
		"demo-registry.cn-hangzhou.cr.aliyuncs.com:443:443":                  port,
		"registry.cn-hangzhou.aliyuncs.com":                                  personal,
		"Registry.cn-hangzhou.aliyuncs.com":                                  personal,
		"registry.aliyuncs.com":                                              personal,
		"registry-vpc.cn-hangzhou.aliyuncs.com":                              personal,
		"registry-intl-internal.ap-southeast-1.aliyuncs.com":                 personal,
		"crpi-abc.cn-hangzhou.personal.cr.aliyuncs.com":                      personal,
		"crpi-abc-vpc.cn-hangzhou.personal.cr.aliyuncs.com":                  personal,
		strings.Repeat("a", 1<<20) + "-registry.cn-hangzhou.cr.aliyuncs.com": "bytes",
	} {
		got, err := ParseHost(in)
		if !errors.Is(err, ErrNotCovered) || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("ParseHost(%.80q) = %v, %.200v; want ErrNotCovered with %q", in, got, err, want)
		}
	}
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"demo-registry.cn-hangzhou.cr.aliyuncs.com", "demo-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com:443",
		"registry.cn-hangzhou.aliyuncs.com", "crpi-a.cn-hangzhou.personal.cr.aliyuncs.com", "a-registry.b.cr.aliyuncs.com.evil.aliyuncs.com", ":443", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		h, err := ParseHost(in)
		if err != nil {
			if !errors.Is(err, ErrNotCovered) {
				t.Errorf("%q: %v", in, err)
			}
			return
		}
		name := strings.TrimSuffix(strings.ToLower(in), ":443")
		if !strings.HasSuffix(name, "."+h.Region+".cr.aliyuncs.com") || !strings.HasPrefix(name, h.Instance+"-registry") || strings.ContainsAny(name, "/@:?#\\ ") {
			t.Errorf("%q gets the credentials of %+v", in, h)
		}
	})
}
