package rrsa

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestCredentialHidesSecrets(t *testing.T) {
	c := Credential{AccessKeyID: "STS.id", AccessKeySecret: "hush-secret", SecurityToken: "hush-token"}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "c", c)
	fmt.Fprintf(&out, "%v %+v %#v %s %v", c, c, c, c, &c)
	if strings.Contains(out.String(), "hush") || !strings.Contains(out.String(), "STS.id") {
		t.Error(out.String())
	}
}

func TestOpenAPI(t *testing.T) {
	for want, c := range map[string]Credential{
		"sts":        {AccessKeyID: "id", AccessKeySecret: "secret", SecurityToken: "token", Provider: "p"},
		"access_key": {AccessKeyID: "id", AccessKeySecret: "secret", Provider: "p"},
	} {
		o := c.OpenAPI()
		m, err := o.GetCredential()
		if err != nil || *m.AccessKeyId != "id" || *m.AccessKeySecret != "secret" || *m.Type != want || *m.ProviderName != "p" ||
			(m.SecurityToken != nil) != (want == "sts") {
			t.Errorf("%s: %+v, %v", want, m, err)
		}
		f := o.(fixed) // older SDKs ask for the parts one by one
		id, _ := f.GetAccessKeyId()
		secret, _ := f.GetAccessKeySecret()
		token, _ := f.GetSecurityToken()
		if *id != "id" || *secret != "secret" || *token != c.SecurityToken || *o.GetType() != want || *o.GetBearerToken() != "" {
			t.Errorf("%s: %s %s %s", want, *id, *secret, *token)
		}
	}
}
