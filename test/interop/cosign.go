package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for signatures of cosign, which the store finds by their tag.
var cosignRows = []row{
	{"Cosign", "key of the cosign command", cosignCommand},
	{"Cosign", "key: several signatures, moved ones", cosignKey},
	{"Cosign", "key and bundle (transparency log, offline)", cosignBundle},
	{"Cosign", "keyless", cosignKeyless},
}

// cosignConfig returns config.json with a verifier of cosign's signatures that has one trust policy with these members, and public keys in PEM if
// that is not empty.
func (e *environment) cosignConfig(keys string, policy map[string]any) []byte {
	if keys == "" {
		return e.cosignConfigWith(nil, policy)
	}
	return e.cosignConfigWith(map[string]any{"type": "inline", "contentType": "key", "value": keys}, policy)
}

// cosignConfigWith is cosignConfig with a key management provider of its own, which is called cosign-keys; nil: there is none.
func (e *environment) cosignConfigWith(provider, policy map[string]any) []byte {
	policy["name"], policy["scopes"] = "default", []any{scenario.Demo.Host + "/*"}
	return e.world.Config(func(config map[string]any) {
		config["store"].(map[string]any)["plugins"].([]any)[0].(map[string]any)["cosignEnabled"] = true
		config["policy"].(map[string]any)["plugin"].(map[string]any)["artifactVerificationPolicies"] = map[string]any{"default": "all"}
		config["keyManagementProvider"] = map[string]any{}
		if provider != nil {
			provider["name"] = "cosign-keys"
			config["keyManagementProvider"] = map[string]any{"plugins": []any{provider}}
			policy["keys"] = []any{map[string]any{"provider": "cosign-keys"}}
		}
		config["verifier"].(map[string]any)["plugins"] = []any{map[string]any{
			"name": "cosign", "artifactTypes": "application/vnd.dev.cosign.artifact.sig.v1+json", "trustPolicies": []any{policy},
		}}
	})
}

// The cosign command signs with keys that it made.
func cosignCommand(ctx context.Context, e *environment) error {
	i, err := e.push(ctx, scenario.Demo, "cosign/command")
	if err != nil {
		return err
	}
	login, err := dockerConfig(scenario.Demo.Host, i.user, i.password)
	if err != nil {
		return err
	}
	if _, err := e.write(".docker/config.json", login); err != nil {
		return err
	}
	public := ""
	for _, signer := range []string{"stranger", "ours"} {
		env := e.podEnv("COSIGN_PASSWORD=")
		if _, err := e.command(ctx, env, e.cosign, "generate-key-pair", "--output-key-prefix", signer); err != nil {
			return err
		}
		key, err := os.ReadFile(filepath.Join(e.dir, signer+".pub"))
		if err != nil {
			return err
		}
		if public != "" { // the stranger's, of which the store has a signature now
			if err := e.refuses(ctx, e.cosignConfig(string(key), map[string]any{"tLogVerify": false}), i.ref, "it was not made with the key cosign-keys"); err != nil {
				return err
			}
		}
		public = string(key)
		if _, err := e.command(ctx, env, e.cosign, "sign", "--yes", "--tlog-upload=false", "--key", signer+".key", i.ref); err != nil {
			return err
		}
	}
	return e.admits(ctx, e.cosignConfig(public, map[string]any{"tLogVerify": false}), i.ref)
}

// cosignImage pushes an image with the signatures that sign returns.
func (e *environment) cosignImage(ctx context.Context, repository string, sign func(i image) ([]signing.CosignSignature, error)) (string, error) {
	i, err := e.push(ctx, scenario.Demo, "cosign/"+repository)
	if err != nil {
		return "", err
	}
	signatures, err := sign(i)
	if err != nil {
		return "", err
	}
	return i.ref, signing.PushCosign(ctx, i.repo, i.desc, signatures...)
}

// signAll signs an image with each of the keys.
func signAll(i image, keys ...signing.CosignKey) ([]signing.CosignSignature, error) {
	var signatures []signing.CosignSignature
	for _, key := range keys {
		s, err := key.Signature(i.repo.Reference.Registry+"/"+i.repo.Reference.Repository, i.desc)
		if err != nil {
			return nil, err
		}
		signatures = append(signatures, s)
	}
	return signatures, nil
}

// newCosignKeys returns two keys and the public key of the first.
func newCosignKeys() (ours, stranger signing.CosignKey, public string, err error) {
	if ours, err = signing.NewCosignKey(); err != nil {
		return
	}
	if stranger, err = signing.NewCosignKey(); err != nil {
		return
	}
	public, err = ours.PEM()
	return
}

// A signature of the key admits an image, also beside a stranger's; a stranger's alone, or one of another image, does not.
func cosignKey(ctx context.Context, e *environment) error {
	ours, stranger, public, err := newCosignKeys()
	if err != nil {
		return err
	}
	config := e.cosignConfig(public, map[string]any{"tLogVerify": false})
	var first image
	for _, step := range []struct {
		repository string
		sign       func(image) ([]signing.CosignSignature, error)
		says       string // why it is refused; empty: it is admitted
	}{
		{"key", func(i image) ([]signing.CosignSignature, error) { first = i; return signAll(i, ours) }, ""},
		{"key-and-stranger", func(i image) ([]signing.CosignSignature, error) { return signAll(i, ours, stranger) }, ""},
		{"stranger", func(i image) ([]signing.CosignSignature, error) { return signAll(i, stranger) }, "it was not made with the key cosign-keys"},
		{"moved", func(image) ([]signing.CosignSignature, error) { return signAll(first, ours) }, "not for this image"},
	} {
		ref, err := e.cosignImage(ctx, step.repository, step.sign)
		if err != nil {
			return err
		}
		if err := e.cosignExpect(ctx, config, ref, step.says); err != nil {
			return err
		}
	}
	return nil
}

// cosignExpect checks that an image is admitted or, if says is not empty, refused with these words.
func (e *environment) cosignExpect(ctx context.Context, config []byte, ref, says string) error {
	if says == "" {
		return e.admits(ctx, config, ref)
	}
	return e.refuses(ctx, config, ref, says)
}

// A signature with the transparency log's bundle admits an image without anybody being asked; one with the bundle of another entry does not.
func cosignBundle(ctx context.Context, e *environment) error {
	ours, _, public, err := newCosignKeys()
	if err != nil {
		return err
	}
	log, err := e.cosignLog()
	if err != nil {
		return err
	}
	config := e.cosignConfig(public, map[string]any{"tLogVerify": true})
	for repository, says := range map[string]string{"bundle": "", "bundle-of-another": "its entry is about another signature"} {
		ref, err := e.cosignImage(ctx, repository, func(i image) ([]signing.CosignSignature, error) {
			signed, err := signAll(i, ours, ours) // no two signatures are the same
			if err != nil {
				return nil, err
			}
			about := signed[0]
			if says != "" {
				about = signed[1]
			}
			bundle, err := log.Bundle(about, time.Now())
			return []signing.CosignSignature{signed[0].With(signing.CosignBundleAnnotation, bundle)}, err
		})
		if err != nil {
			return err
		}
		if err := e.cosignExpect(ctx, config, ref, says); err != nil {
			return err
		}
	}
	return nil
}

// A certificate of the identity admits an image, long after it expired; one of another identity, or a signature after its end, does not.
func cosignKeyless(ctx context.Context, e *environment) error {
	const identity, issuer = "https://ci.example.com/team/app", "https://oidc.example.com"
	log, err := e.cosignLog()
	if err != nil {
		return err
	}
	fulcio, err := signing.NewFulcio()
	if err != nil {
		return err
	}
	logKey, err := fulcio.LogPEM()
	if err != nil {
		return err
	}
	if err := e.cosignTrust(map[string]string{"SIGSTORE_ROOT_FILE": fulcio.PEM(), "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": logKey}); err != nil {
		return err
	}
	config := e.cosignConfig("", map[string]any{"keyless": map[string]any{"certificateIdentity": identity, "certificateOIDCIssuer": issuer}})
	yesterday := time.Now().AddDate(0, 0, -1)
	for _, step := range []struct {
		repository, identity string
		authority            *signing.Fulcio
		logged               time.Time
		says                 string
	}{
		{"keyless", identity, fulcio, yesterday.Add(time.Minute), ""},
		{"keyless-other-identity", "https://ci.example.com/others", fulcio, yesterday.Add(time.Minute), "none of the expected identities matched"},
		{"keyless-too-late", identity, fulcio, yesterday.Add(time.Hour), "when the signature was made, by the transparency log's time"},
		{"keyless-no-sct", identity, fulcio.WithoutProof(), yesterday.Add(time.Minute), "does not include required embedded SCT"},
	} {
		key, err := step.authority.Issue(step.identity, issuer, yesterday)
		if err != nil {
			return err
		}
		ref, err := e.cosignImage(ctx, step.repository, func(i image) ([]signing.CosignSignature, error) {
			signed, err := signAll(i, key)
			if err != nil {
				return nil, err
			}
			bundle, err := log.Bundle(signed[0], step.logged)
			return []signing.CosignSignature{signed[0].With(signing.CosignBundleAnnotation, bundle)}, err
		})
		if err != nil {
			return err
		}
		if err := e.cosignExpect(ctx, config, ref, step.says); err != nil {
			return err
		}
	}
	return nil
}

// cosignLog returns a transparency log that ratify trusts.
func (e *environment) cosignLog() (signing.CosignLog, error) {
	log, err := signing.NewCosignLog()
	if err != nil {
		return log, err
	}
	public, err := log.PEM()
	if err != nil {
		return log, err
	}
	return log, e.cosignTrust(map[string]string{"SIGSTORE_REKOR_PUBLIC_KEY": public})
}

// cosignTrust gives ratify trust material by environment variables that name files.
func (e *environment) cosignTrust(content map[string]string) error {
	for variable, text := range content {
		path, err := e.write(variable+".pem", []byte(text))
		if err != nil {
			return err
		}
		e.env = append(e.env, variable+"="+path)
	}
	return nil
}
