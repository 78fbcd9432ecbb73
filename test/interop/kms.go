package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/notaryproject/notation-go/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

const signingPlugin = "alibabacloud.secretmanager.plugin"

// kmsSigner signs with the notation command and keys of a dedicated KMS instance, through the signing plugin.
type kmsSigner struct {
	*environment
	engineer *scenario.ReleaseEngineer
	env      []string // of the notation command
}

// kmsKey is a key, and the folder with its certificate.
type kmsKey struct{ id, folder string }

// newKMSSigner installs the plugin, and adds a KMS instance that no other row may have.
func (e *environment) newKMSSigner(ctx context.Context, instance string) (*kmsSigner, error) {
	engineer, err := scenario.NewReleaseEngineer(e.world.Cloud, instance, e.dir)
	if err != nil {
		return nil, err
	}
	s := &kmsSigner{environment: e, engineer: engineer}
	s.env = append([]string{"HOME=" + e.dir, "PATH=" + os.Getenv("PATH")}, engineer.WayEnv()...)
	// Neither needs a variable of the guide.
	for _, args := range [][]string{{"plugin", "install", "--file", e.signingPlugin}, {"plugin", "ls"}} {
		if _, err := e.command(ctx, s.env, e.notation, args...); err != nil {
			return nil, err
		}
	}
	s.env = append(s.env, engineer.Env()...)
	return s, nil
}

// newKey makes a key in the instance.
func (s *kmsSigner) newKey(spec string) (kmsKey, error) {
	id, err := s.engineer.AddKey(spec)
	if err != nil {
		return kmsKey{}, err
	}
	return s.keyOf(id)
}

// keyOf makes a folder for the certificate of a key.
func (s *kmsSigner) keyOf(id string) (kmsKey, error) {
	folder, err := os.MkdirTemp(s.dir, "certificate-")
	return kmsKey{id, folder}, err
}

// sign signs an image with a key and the self-signed certificate in its folder.
func (s *kmsSigner) sign(ctx context.Context, key kmsKey, i image, flags ...string) error {
	return s.signWith(ctx, key, i, append(flags, "--plugin-config", "output_cert_dir="+key.folder)...)
}

func (s *kmsSigner) signWith(ctx context.Context, key kmsKey, i image, flags ...string) error {
	env := append([]string{"NOTATION_USERNAME=" + i.user, "NOTATION_PASSWORD=" + i.password}, s.env...)
	_, err := s.command(ctx, env, s.notation, append([]string{"sign", "--plugin", signingPlugin, "--id", key.id, i.ref}, flags...)...)
	return err
}

// certificate returns what is in the key's folder, once something was signed; before, it is empty.
func (k kmsKey) certificate() string {
	content, err := os.ReadFile(filepath.Join(k.folder, "signer.crt"))
	if err != nil {
		return ""
	}
	return string(content)
}

// moveSignature attaches the signature of one image to another.
func moveSignature(ctx context.Context, from, to image) error {
	errFound := errors.New("found")
	source, target := registry.NewRepository(from.repo), registry.NewRepository(to.repo)
	err := source.ListSignatures(ctx, from.desc, func(signatures []ocispec.Descriptor) error {
		if len(signatures) == 0 {
			return nil
		}
		envelope, desc, err := source.FetchSignatureBlob(ctx, signatures[0])
		if err != nil {
			return err
		}
		if _, _, err := target.PushSignature(ctx, desc.MediaType, envelope, to.desc, signatures[0].Annotations); err != nil {
			return err
		}
		return errFound
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return fmt.Errorf("moving the signature of %s: there is none: %v", from.ref, err)
}
