package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// kms is the KMS of the demo: keys that sign, and secrets that hold what is trusted.
type kms struct {
	world  *scenario.World
	dir    string
	binary string
	plugin signing.Plugin
	cases  []demoCase
	anchor []string // files with the certificates that are trusted
}

// newKMS installs the plugin, and prepares an image for each kind of key and certificate. The plugin runs with this process's environment.
func newKMS(ctx context.Context, w *scenario.World, dir, plugin string) (*kms, error) {
	engineer, err := scenario.NewReleaseEngineer(w.Cloud, "kst-demo", dir)
	if err != nil {
		return nil, err
	}
	for _, variable := range append(engineer.Env(), engineer.WayEnv()...) {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	k := &kms{world: w, dir: dir, binary: plugin, anchor: []string{filepath.Join(dir, "root.crt")}}
	if err := os.WriteFile(k.anchor[0], []byte(w.Root()), 0o600); err != nil {
		return nil, err
	}
	if k.plugin, err = signing.InstallPlugin(ctx, filepath.Join(dir, "plugins"), plugin); err != nil {
		return nil, fmt.Errorf("install %s: %w", plugin, err)
	}
	for _, kind := range []struct{ spec, mediaType string }{{"RSA_2048", signing.JWS}, {"EC_P256", signing.COSE}} {
		key, err := engineer.AddKey(kind.spec)
		if err != nil {
			return nil, err
		}
		folder := filepath.Join(dir, kind.spec)
		if err := os.Mkdir(folder, 0o700); err != nil {
			return nil, err
		}
		chain, err := k.issue(ctx, key, filepath.Join(folder, "chain.pem"))
		if err != nil {
			return nil, err
		}
		k.anchor = append(k.anchor, filepath.Join(folder, "signer.crt"))
		k.add("KMS "+kind.spec+", self-signed", "CN=notation,OU=Ack,O=AlibabaCloud,C=CN", key, kind.mediaType, map[string]string{"output_cert_dir": folder})
		k.add("KMS "+kind.spec+", CA-issued", "CN=kms-releases,O=Example,ST=Zhejiang,C=CN", key, kind.mediaType, map[string]string{"ca_certs": chain})
	}
	return k, nil
}

// add adds the case of an image that is signed with a key.
func (k *kms) add(name, signer, key, mediaType string, config map[string]string) {
	k.cases = append(k.cases, demoCase{name: name, registry: scenario.Demo, kind: scenario.Unsigned, admitted: true, says: signer,
		sign: func(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor) error {
			return k.plugin.Sign(ctx, repo, image, mediaType, key, config)
		}})
}

// issue has the authority issue a certificate for a key to a file: the plugin makes the request.
func (k *kms) issue(ctx context.Context, key, path string) (string, error) {
	request := path + ".csr"
	cmd := exec.CommandContext(ctx, k.binary, "certificate", "create", "--id", key, "--csr", "--output", request,
		"--subject", "C=CN,ST=Zhejiang,O=Example,CN=kms-releases")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	csr, err := os.ReadFile(request)
	if err != nil {
		return "", err
	}
	chain, err := k.world.Issue(csr)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(chain), 0o600)
}

// config puts the anchors into secrets of KMS and returns config.json of a Ratify that trusts them and nothing else.
func (k *kms) config() ([]byte, error) {
	var secrets []any
	for i, path := range k.anchor {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("signer-%d", i+1)
		k.world.Cloud.KMS().PutSecret(name, string(content))
		secrets = append(secrets, map[string]any{"secretName": name})
	}
	return k.world.Config(func(config map[string]any) {
		config["keyManagementProvider"] = map[string]any{"plugins": []any{map[string]any{
			"name": "ratify-notation-inline-cert", "type": "alibabacloudkms", "region": scenario.Demo.Region, "certificates": secrets,
		}}}
	}), nil
}
