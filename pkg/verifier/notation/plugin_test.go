package notation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"
	notationverifier "github.com/notaryproject/notation-go/verifier"
)

// script is a verification plugin that vouches for identities as verdict says.
const script = `#!/bin/sh
cat >/dev/null
case "$1" in
get-plugin-metadata)
	echo '{"name":"check","description":"a test","version":"1.2.3","url":"https://example.com","supportedContractVersions":["1.0"],"capabilities":["SIGNATURE_VERIFIER.%s"]}';;
verify-signature)
	%s;;
esac
`

func answer(verdict string) string {
	return `echo '{"verificationResults":{"SIGNATURE_VERIFIER.TRUSTED_IDENTITY":{"success":` + verdict + `,"reason":"on the list"}},"processedAttributes":[]}'`
}

func TestPlugin(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	image := imageOf("image")
	dir := t.TempDir()
	outside := filepath.Join(dir, "notation-outside")

	tests := []struct {
		name, plugin, minimum string
		script                string
		mode                  os.FileMode
		want                  string // verified, refused, undetermined
		words                 string
	}{
		{"says yes", "check", "1.0.0", fmt.Sprintf(script, "TRUSTED_IDENTITY", answer("true")), 0o700, "verified", ""},
		{"says no", "check", "", fmt.Sprintf(script, "TRUSTED_IDENTITY", answer("false")), 0o700, "refused", "on the list"},
		{"crashes", "check", "", fmt.Sprintf(script, "TRUSTED_IDENTITY", "exit 3"), 0o700, "undetermined", ""},
		{"answers nonsense", "check", "", fmt.Sprintf(script, "TRUSTED_IDENTITY", "echo x"), 0o700, "undetermined", ""},
		{"crashes at once", "check", "", "#!/bin/sh\nexit 1\n", 0o700, "undetermined", ""},
		{"not executable", "check", "", script, 0o600, "undetermined", "permission denied"},
		{"too old", "check", "2.0.0", fmt.Sprintf(script, "TRUSTED_IDENTITY", answer("true")), 0o700, "refused", "2.0.0"},
		{"does not verify", "check", "", fmt.Sprintf(script, "NOTHING", answer("true")), 0o700, "refused", "capabilities"},
		{"not installed", "other", "", "", 0o700, "refused", "other"},
		{"path as name", "../outside/notation-outside", "", "", 0o700, "refused", "not the name of a plugin"},
		{"empty name", " ", "", "", 0o700, "refused", "empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plugins := t.TempDir()
			for path, text := range map[string]string{filepath.Join(plugins, "notation-check"): tt.script, outside: "#!/bin/sh\necho outside >" + dir + "/ran\n"} {
				if err := os.WriteFile(path, []byte(text), tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			envelope := signRequest(t, leaf, image, jws.MediaTypeEnvelope, func(r *signature.SignRequest) {
				r.ExtendedSignedAttributes = []signature.Attribute{{Key: notationverifier.HeaderVerificationPlugin, Critical: true, Value: tt.plugin}}
				if tt.minimum != "" {
					r.ExtendedSignedAttributes = append(r.ExtendedSignedAttributes,
						signature.Attribute{Key: notationverifier.HeaderVerificationPluginMinVersion, Critical: true, Value: tt.minimum})
				}
			})
			t.Setenv("HOME", t.TempDir())
			v, err := New(t.Context(), parse(t, level("strict")), Options{KeyMaterial: providers{"roots": {root.cert}}, PluginDirectory: plugins, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			result, err := verify(t.Context(), v, newStore(image, envelope))
			got := map[bool]string{true: "verified", false: "refused"}[result.IsSuccess]
			text := result.Message
			if err != nil {
				got, text = "undetermined", err.Error()
			}
			if got != tt.want || !strings.Contains(text, tt.words) {
				t.Errorf("%s: %q; want %s with %q", got, text, tt.want, tt.words)
			}
			if got == "refused" && !strings.Contains(result.Remediation, "plugin") {
				t.Errorf("remediation %q", result.Remediation)
			}
			if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
				t.Error("a program outside the plugin directory ran")
			}
		})
	}

	t.Run("no directory", func(t *testing.T) {
		envelope := signRequest(t, leaf, image, jws.MediaTypeEnvelope, func(r *signature.SignRequest) {
			r.ExtendedSignedAttributes = []signature.Attribute{{Key: notationverifier.HeaderVerificationPlugin, Critical: true, Value: "check"}}
		})
		expectRefused(t, newVerifier(t, level("strict"), root.cert), newStore(image, envelope), checkPlugin, "no directory for plugins")
	})
}
