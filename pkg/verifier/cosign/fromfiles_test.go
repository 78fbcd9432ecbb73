package cosign

import "testing"

// Who makes verifiers keeps those that were made of key material only.
func TestFromFiles(t *testing.T) {
	key := newKey(t)
	pem := must(key.PEM())(t)
	file := writeFile(t, pem)
	for name, tt := range map[string]struct {
		parameters, logKey string
		want               bool
	}{
		"provider":                       {withPolicy(withKeys + withoutLog), "", false},
		"provider, Sigstore's log":       {withPolicy(withKeys), "", false},
		"provider, the environment's":    {withPolicy(withKeys), pem, true},
		"provider, and no log is needed": {withPolicy(withKeys + withoutLog), pem, false},
		"file":                           {withPolicy(`"keys":[{"provider":"keys"},{"file":"` + file + `"}]` + withoutLog), "", true},
		"legacy key":                     {`{"name":"cosign","artifactTypes":"*","key":"` + file + `"}`, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.logKey != "" {
				t.Setenv(envRekorKey, writeFile(t, tt.logKey))
			}
			if got := newVerifier(t, tt.parameters, key).FromFiles(); got != tt.want {
				t.Errorf("%t", got)
			}
		})
	}
}
