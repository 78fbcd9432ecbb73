package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// notationKey is an entry of notation's signingkeys.json.
type notationKey struct {
	Name     string `json:"name"`
	KeyPath  string `json:"keyPath"`
	CertPath string `json:"certPath"`
}

// addKey gives the notation command a key under a name.
func (e *environment) addKey(name, keyPath, certPath string) error {
	e.keys = append(e.keys, notationKey{name, keyPath, certPath})
	content, err := json.Marshal(map[string]any{"keys": e.keys})
	if err != nil {
		return err
	}
	_, err = e.write(".config/notation/signingkeys.json", content)
	return err
}

// addIdentity writes an identity's key and chain to files and gives them to the notation command.
func (e *environment) addIdentity(name string, i signing.Identity) error {
	der, err := x509.MarshalPKCS8PrivateKey(i.Key)
	if err != nil {
		return err
	}
	key, err := e.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return err
	}
	cert, err := e.write(name+".pem", []byte(i.ChainPEM()))
	if err != nil {
		return err
	}
	return e.addKey(name, key, cert)
}

// sign signs an image with the notation command and one of its keys.
func (e *environment) sign(ctx context.Context, key string, i image, flags ...string) error {
	_, err := e.command(ctx, e.notationEnv(i), e.notation, append([]string{"sign", "--key", key, i.ref}, flags...)...)
	return err
}

func (e *environment) notationEnv(i image, more ...string) []string {
	if i.user != "" {
		more = append(more, "NOTATION_USERNAME="+i.user, "NOTATION_PASSWORD="+i.password)
	}
	return e.podEnv(more...)
}

// trust is what is trusted, for Ratify and the notation command alike.
type trust struct {
	policy string            // the trust policy document, JSON
	stores map[string]string // type:name → certificates, PEM
	store  map[string]any    // the store of Ratify's configuration; nil: the world's
}

// everywhere returns the trust policy document of most tutorials: one statement, for all repositories and identities.
func everywhere(level string, stores ...string) string {
	return fmt.Sprintf(`{"version": "1.0", "trustPolicies": [{"name": "all", "registryScopes": ["*"],
		"signatureVerification": {"level": %q}, "trustStores": ["%s"], "trustedIdentities": ["*"]}]}`, level, strings.Join(stores, `", "`))
}

// config returns config.json for what is trusted, with an inline provider for each trust store.
func (e *environment) config(t trust) ([]byte, error) {
	var policy any
	if err := json.Unmarshal([]byte(t.policy), &policy); err != nil {
		return nil, fmt.Errorf("trust policy: %w", err)
	}
	var providers []any
	stores := map[string]map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(t.stores)) {
		kind, store, _ := strings.Cut(name, ":")
		if stores[kind] == nil {
			stores[kind] = map[string][]string{}
		}
		stores[kind][store] = []string{name}
		providers = append(providers, map[string]any{"name": name, "type": "inline", "contentType": "certificate", "value": t.stores[name]})
	}
	return e.world.Config(func(config map[string]any) {
		config["keyManagementProvider"].(map[string]any)["plugins"] = providers
		verifier := config["verifier"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		verifier["verificationCertStores"], verifier["trustPolicyDoc"] = stores, policy
		if t.store != nil {
			config["store"].(map[string]any)["plugins"] = []any{t.store}
		}
	}), nil
}

// agree checks that Ratify and the notation command both verify an image, or that both do not, and that Ratify's answer has the words.
func (e *environment) agree(ctx context.Context, t trust, i image, admitted bool, words ...string) error {
	config, err := e.config(t)
	if err != nil {
		return err
	}
	return e.agreeWith(ctx, config, t, i, admitted, words...)
}

// agreeWith is agree with a config.json that says the same as t in another way.
func (e *environment) agreeWith(ctx context.Context, config []byte, t trust, i image, admitted bool, words ...string) error {
	expect := e.refuses
	if admitted {
		expect = e.admits
	}
	if err := expect(ctx, config, i.ref, words...); err != nil {
		return err
	}
	return e.notationSays(ctx, t, i, admitted)
}

// notationSays checks that the notation command verifies an image, or that it does not.
func (e *environment) notationSays(ctx context.Context, t trust, i image, admitted bool) error {
	out, err := e.notationVerify(ctx, t, i)
	if err != nil && !strings.Contains(out, "signature verification failed") {
		return err
	}
	if admitted != (err == nil) {
		return fmt.Errorf("ratify admits %s: %t, but notation says:\n%s", i.ref, admitted, out)
	}
	return nil
}

// notationVerify runs `notation verify` with a configuration, and a cache of revocation lists, of its own.
func (e *environment) notationVerify(ctx context.Context, t trust, i image) (string, error) {
	dir, err := os.MkdirTemp(e.dir, "verify-")
	if err != nil {
		return "", err
	}
	files := map[string]string{"trustpolicy.json": t.policy}
	for name, certs := range t.stores {
		files["truststore/x509/"+strings.ReplaceAll(name, ":", "/")+"/certs.pem"] = certs
	}
	for path, content := range files {
		if _, err := e.write(filepath.Join(filepath.Base(dir), "notation", path), []byte(content)); err != nil {
			return "", err
		}
	}
	return e.command(ctx, e.notationEnv(i, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir), e.notation, "verify", i.ref)
}
