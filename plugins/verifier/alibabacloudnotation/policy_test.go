package main

import (
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/store"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// The trust policy counts in full: levels and what overrides them, scopes and identities.
func TestTrustPolicy(t *testing.T) {
	w := newWorld(t)
	expired, signed := push(t, w, "expired", scenario.Expired), push(t, w, "signed", scenario.SignedJWS)
	ours := map[string]any{"name": store.Name}
	level := func(level string, override map[string]any) map[string]any {
		v := map[string]any{"level": level}
		if override != nil {
			v["override"] = override
		}
		return map[string]any{"signatureVerification": v}
	}
	for _, tt := range []struct {
		name      string
		signature signature
		policy    map[string]any // changes of the policy
		success   bool
		says      string
	}{
		{"strict", expired, level("strict", nil), false, "CN=retired"},
		{"permissive", expired, level("permissive", nil), true, "CN=retired"},
		{"strict, expiry and time only logged", expired, level("strict", map[string]any{"authenticTimestamp": "log", "expiry": "log"}), true, "CN=retired"},
		{"permissive, time enforced", expired, level("permissive", map[string]any{"authenticTimestamp": "enforce"}), false, "CN=retired"},
		{"the signer's identity", signed, map[string]any{"trustedIdentities": []any{"x509.subject: C=CN, ST=Zhejiang, O=Example, CN=releases"}}, true, "CN=releases"},
		{"another identity", signed, map[string]any{"trustedIdentities": []any{"x509.subject: C=CN, ST=Zhejiang, O=Other"}}, false, "identit"},
		{"the image's scope", signed, map[string]any{"registryScopes": []any{scenario.Demo.Host + "/signed"}}, true, "CN=releases"},
		{"another scope", signed, map[string]any{"registryScopes": []any{scenario.Demo.Host + "/other"}}, false, "polic"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := inlineConfig(w.Anchors())
			policy := cfg["trustPolicyDoc"].(map[string]any)["trustPolicies"].([]any)[0].(map[string]any)
			for key, value := range tt.policy {
				policy[key] = value
			}
			if got := verdict(t, input(t, cfg, ours, tt.signature.desc), tt.signature.digested); got.IsSuccess != tt.success || !strings.Contains(got.Message, tt.says) {
				t.Errorf("isSuccess=%t, %s; want %t, %q", got.IsSuccess, got.Message, tt.success, tt.says)
			}
		})
	}
}
