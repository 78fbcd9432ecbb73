package identity

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNew(t *testing.T) {
	for name, tc := range map[string]struct {
		env  map[string]string
		cfg  Config
		who  string // of String
		err  string
		logs string
	}{
		"RRSA":                  {env: podEnv, cfg: Config{Region: "cn-beijing"}, who: "role acs:ram::1:role/r (RRSA, sts.cn-beijing.aliyuncs.com)"},
		"the cluster's region":  {env: merge(podEnv, map[string]string{"ALIBABA_CLOUD_STS_REGION": "cn-hangzhou"}), cfg: Config{Region: "cn-beijing", VPC: true}, who: "sts-vpc.cn-hangzhou.aliyuncs.com"},
		"configured role":       {env: podEnv, cfg: Config{RoleARN: "acs:ram::1:role/other", STSEndpoint: "sts.example.com"}, who: "role acs:ram::1:role/other (RRSA, sts.example.com)"},
		"nothing":               {err: "no RRSA identity"},
		"only a key around":     {env: map[string]string{EnvAccessKeyID: "id", EnvAccessKeySecret: "hush"}, err: "{type: access_key}"},
		"credential":            {cfg: Config{Credential: &Credential{Type: "access_key", AccessKeyID: "id", AccessKeySecret: "hush"}}, who: "type access_key"},
		"credential, not RRSA":  {env: podEnv, cfg: Config{Credential: &Credential{Type: "access_key", AccessKeyID: "id", AccessKeySecret: "hush"}}, who: "type access_key", logs: "rrsaRole=acs:ram::1:role/r"},
		"credential without it": {cfg: Config{Credential: &Credential{Type: "access_key"}}, err: "access key id"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, tc.env)
			var logged bytes.Buffer
			tc.cfg.Log = slog.New(slog.NewTextHandler(&logged, nil))
			source, err := New(tc.cfg)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "hush") {
					t.Errorf("got %v, want %q", err, tc.err)
				}
				if tc.cfg.Credential == nil && !errors.Is(err, rrsa.ErrNoIdentity) {
					t.Errorf("%v is not ErrNoIdentity", err)
				}
				return
			}
			if err != nil || !strings.Contains(source.String(), tc.who) || !strings.Contains(logged.String(), tc.logs) {
				t.Errorf("got %v, %v, logged %q", source, err, logged.String())
			}
		})
	}
}

func TestNewWithoutALog(t *testing.T) {
	setEnv(t, podEnv)
	if _, err := New(Config{Credential: &Credential{Type: "access_key", AccessKeyID: "id", AccessKeySecret: "hush"}}); err != nil {
		t.Error(err)
	}
}

func TestCredentialCheck(t *testing.T) {
	env := map[string]string{EnvAccessKeyID: "id", EnvAccessKeySecret: "hush", EnvSecurityToken: "hush"}
	for name, tc := range map[string]struct {
		env        map[string]string
		credential *Credential
		field      string // of the mistake; empty: right
	}{
		"none":                    {},
		"access key":              {credential: &Credential{Type: "access_key", AccessKeyID: "id", AccessKeySecret: "hush"}},
		"from the environment":    {env: env, credential: &Credential{Type: "sts"}},
		"not mixed":               {env: env, credential: &Credential{Type: "access_key", AccessKeyID: "other"}, field: "credential.accessKeySecret"},
		"no token":                {credential: &Credential{Type: "sts", AccessKeyID: "id", AccessKeySecret: "hush"}, field: "credential.securityToken"},
		"no role":                 {env: env, credential: &Credential{Type: "ram_role_arn"}, field: "credential.roleArn"},
		"no URL":                  {credential: &Credential{Type: "credentials_uri"}, field: "credential.url"},
		"RRSA needs none":         {credential: &Credential{Type: "oidc_role_arn"}, field: "credential.type"},
		"nonsense":                {credential: &Credential{Type: "nonsense"}, field: "credential.type"},
		"role of an ECS instance": {credential: &Credential{Type: "ecs_ram_role"}},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, tc.env)
			err := tc.credential.Check()
			if mistake, ok := errors.AsType[*parameter.Error](err); ok != (tc.field != "") || ok && mistake.Field != tc.field || !ok && err != nil {
				t.Errorf("got %v, want a mistake in %q", err, tc.field)
			}
		})
	}
}

// Sessions stands in for RRSA's Provider, and for no other credential.
func TestSessions(t *testing.T) {
	setEnv(t, podEnv)
	instead := Nobody(errors.New("instead"))
	sessions := func(p *rrsa.Provider) rrsa.Source {
		if p.Endpoint() != "sts.example.com" {
			t.Errorf("the Provider asks %s", p.Endpoint())
		}
		return instead
	}
	if source, err := New(Config{STSEndpoint: "sts.example.com", Sessions: sessions}); err != nil || source != instead {
		t.Errorf("New() = %v, %v", source, err)
	}
	key := &Credential{Type: "access_key", AccessKeyID: "id", AccessKeySecret: "hush"}
	if source, err := New(Config{Credential: key, Sessions: sessions}); err != nil || source == instead {
		t.Errorf("New(access key) = %v, %v", source, err)
	}
}

func TestNobody(t *testing.T) {
	why := errors.New("why")
	source := Nobody(why)
	source.Forget(rrsa.Credential{})
	if _, err := source.Credential(t.Context()); !errors.Is(err, why) || source.String() != "no identity" {
		t.Errorf("%v of %s", err, source)
	}
}
