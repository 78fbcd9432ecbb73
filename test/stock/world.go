package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// secret is the secret of KMS that holds all trust anchors.
const secret = "anchors"

// image is an image and what should become of it.
type image struct {
	name      string
	reference string // by digest
	tagged    string // by tag
	admitted  bool
	cose      bool // whether the signature is no JSON
}

// world is what there is in the cloud.
type world struct {
	*scenario.World
	images  []image
	anchors string // a folder with the certificates that are trusted
}

// kinds are the kinds of images that nobody needs KMS for.
var kinds = []struct {
	kind     scenario.Kind
	admitted bool
}{
	{scenario.SignedJWS, true}, {scenario.SignedCOSE, true}, {scenario.SelfSigned, true}, {scenario.Unsigned, false}, {scenario.Tampered, false},
	{scenario.Stranger, false}, {scenario.AnothersSignature, false}, {scenario.Expired, false},
}

// newWorld pushes and signs the images, and puts the trust anchors into files and into KMS.
func newWorld(ctx context.Context, cloud *emulator.Cloud, dir string, p programs) (*world, error) {
	s, err := scenario.New(cloud)
	if err != nil {
		return nil, err
	}
	w := &world{World: s, anchors: filepath.Join(dir, "anchors")}
	for _, registry := range []scenario.Registry{scenario.Demo, scenario.Legacy} {
		for _, k := range kinds {
			name := registry.Name + ", " + string(k.kind)
			pushed, err := w.Push(ctx, registry, repository(name), k.kind)
			if err != nil {
				return nil, err
			}
			w.add(registry, name, pushed, k.admitted, k.kind == scenario.SignedCOSE)
		}
	}
	pem := w.Anchors()
	if err := w.signWithKMS(ctx, dir, p.signing, &pem); err != nil {
		return nil, err
	}
	cloud.KMS().PutSecret(secret, pem)
	if err := os.Mkdir(w.anchors, 0o755); err != nil {
		return nil, err
	}
	for i, anchor := range strings.SplitAfter(pem, "-----END CERTIFICATE-----\n") { // Ratify takes one certificate a file
		if strings.TrimSpace(anchor) == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(w.anchors, fmt.Sprintf("%d.crt", i)), []byte(anchor), 0o644); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// signWithKMS adds images that are signed with keys of KMS, through the real Notation plugin, and what is to be trusted for them to pem.
func (w *world) signWithKMS(ctx context.Context, dir, program string, pem *string) error {
	engineer, err := scenario.NewReleaseEngineer(w.Cloud, "kst-stock", dir)
	if err != nil {
		return err
	}
	for _, variable := range append(engineer.Env(), engineer.WayEnv()...) { // the plugin runs with this process's environment
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	plugin, err := signing.InstallPlugin(ctx, filepath.Join(dir, "notation-plugins"), program)
	if err != nil {
		return fmt.Errorf("install %s: %w", program, err)
	}
	for _, k := range []struct {
		spec, mediaType string
		issued          bool
	}{{"RSA_2048", signing.JWS, false}, {"RSA_2048", signing.COSE, true}, {"EC_P256", signing.COSE, false}, {"EC_P256", signing.JWS, true}} {
		key, err := engineer.AddKey(k.spec)
		if err != nil {
			return err
		}
		name, config := scenario.Demo.Name+", KMS "+k.spec+", self-signed", map[string]string{"output_cert_dir": filepath.Join(dir, key)}
		if k.issued {
			name = scenario.Demo.Name + ", KMS " + k.spec + ", CA-issued"
			chain := filepath.Join(dir, key+".pem")
			if err := w.issue(ctx, program, key, chain); err != nil {
				return err
			}
			config = map[string]string{"ca_certs": chain}
		} else if err := os.Mkdir(config["output_cert_dir"], 0o700); err != nil {
			return err
		}
		pushed, err := w.Push(ctx, scenario.Demo, repository(name), scenario.Unsigned)
		if err != nil {
			return err
		}
		repo, err := signing.Repository(scenario.Demo.Host+"/"+repository(name), w.Cloud.PushTransport(scenario.Demo.ID))
		if err != nil {
			return err
		}
		if err := plugin.Sign(ctx, repo, pushed, k.mediaType, key, config); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		w.add(scenario.Demo, name, pushed, true, k.mediaType == signing.COSE)
		if !k.issued {
			own, err := os.ReadFile(filepath.Join(config["output_cert_dir"], "signer.crt"))
			if err != nil {
				return err
			}
			*pem += string(own)
		}
	}
	return nil
}

// issue has the authority issue a certificate for a key to a file.
func (w *world) issue(ctx context.Context, program, key, path string) error {
	cmd := exec.CommandContext(ctx, program, "certificate", "create", "--id", key, "--csr", "--output", path+".csr",
		"--subject", "C=CN,ST=Zhejiang,O=Example,CN=kms-releases")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	request, err := os.ReadFile(path + ".csr")
	if err != nil {
		return err
	}
	chain, err := w.Issue(request)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(chain), 0o600)
}

func (w *world) add(registry scenario.Registry, name string, pushed ocispec.Descriptor, admitted, cose bool) {
	at := registry.Host + "/" + repository(name)
	w.images = append(w.images, image{name: name, reference: at + "@" + pushed.Digest.String(), tagged: at + ":v1", admitted: admitted, cose: cose})
}

// find returns the image of a name.
func (w *world) find(name string) image {
	for _, i := range w.images {
		if i.name == name {
			return i
		}
	}
	panic("no image " + name)
}

// repository makes a repository's name of an image's.
func repository(name string) string {
	return "stock/" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return -1
	}, name)
}
