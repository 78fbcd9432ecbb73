package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// A private key of openssl's is wrapped by one command, imported, and signs.
func alibabaImport(ctx context.Context, e *environment) error {
	s, err := e.newKMSSigner(ctx, "kst-import")
	if err != nil {
		return err
	}
	service := e.world.Cloud.KMS()
	id, err := service.AddKey(emulated.KeyOptions{Spec: "RSA_2048", Instance: "kst-import", Origin: "EXTERNAL"})
	if err != nil {
		return err
	}
	key, err := s.keyOf(id)
	if err != nil {
		return err
	}
	image, err := e.push(ctx, scenario.Demo, "kms/imported")
	if err != nil {
		return err
	}
	if err := s.sign(ctx, key, image); err == nil || !strings.Contains(err.Error(), "import") {
		return fmt.Errorf("a key without material: %v", err)
	}
	wrapping, token, err := service.ImportParameters(id)
	if err != nil {
		return err
	}
	if _, err := e.write("publickey.pem", wrapping); err != nil {
		return err
	}
	if err := e.openssl(ctx, "genrsa -out TakPrivPkcs1.pem 2048"); err != nil {
		return err
	}
	if _, err := e.command(ctx, s.env, e.signingPlugin, "key", "import", "--private-key", "TakPrivPkcs1.pem", "--public-key", "publickey.pem"); err != nil {
		return err
	}
	material, err := e.read("EncryptedKeyMaterial_base64.txt")
	if err != nil {
		return err
	}
	if err := service.ImportKeyMaterial(id, material, token); err != nil {
		return err
	}
	if err := s.sign(ctx, key, image); err != nil {
		return err
	}
	return s.onlyTrusted(ctx, key, image, "kms/imported-not")
}

// onlyTrusted checks that an image is admitted by its key's certificate, and one that is signed with another key of the instance is not.
func (s *kmsSigner) onlyTrusted(ctx context.Context, key kmsKey, i image, repository string) error {
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": key.certificate()}}
	if err := s.agree(ctx, t, i, true, "CN=notation"); err != nil {
		return err
	}
	another, err := s.newKey("EC_P256")
	if err != nil {
		return err
	}
	other, err := s.push(ctx, scenario.Demo, repository)
	if err != nil {
		return err
	}
	if err := s.sign(ctx, another, other); err != nil {
		return err
	}
	return s.agree(ctx, t, other, false, "no trust store holds the issuer of CN=notation")
}

// A job in the cluster signs with the rights of its service account: no client key, no access key.
func alibabaOpenAPI(ctx context.Context, e *environment) error {
	s, err := e.newKMSSigner(ctx, "kst-openapi")
	if err != nil {
		return err
	}
	s.env = e.podEnv("ALIBABA_CLOUD_KMS_REGION_ID=" + scenario.Demo.Region)
	key, err := s.newKey("EC_P256")
	if err != nil {
		return err
	}
	image, err := e.push(ctx, scenario.Demo, "kms/openapi")
	if err != nil {
		return err
	}
	if err := s.sign(ctx, key, image, "--signature-format", "cose"); err != nil {
		return err
	}
	return s.onlyTrusted(ctx, key, image, "kms/openapi-not")
}

// An authority issues certificates for keys of both kinds; the bundle's order does not matter.
func alibabaIssued(ctx context.Context, e *environment) error {
	s, err := e.newKMSSigner(ctx, "kst-issued")
	if err != nil {
		return err
	}
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": e.world.Root()}}
	for _, spec := range []string{"RSA_2048", "EC_P256"} {
		key, err := s.newKey(spec)
		if err != nil {
			return err
		}
		request, chain := filepath.Join(key.folder, "signer.csr"), filepath.Join(key.folder, "chain.pem")
		if _, err := e.command(ctx, s.env, e.signingPlugin, "certificate", "create", "--id", key.id, "--csr", "--output", request,
			"--subject", "C=CN,ST=Zhejiang,O=Example,CN="+spec); err != nil {
			return err
		}
		csr, err := e.read(strings.TrimPrefix(request, e.dir))
		if err != nil {
			return err
		}
		issued, err := e.world.Issue([]byte(csr))
		if err != nil {
			return err
		}
		blocks := strings.SplitAfter(strings.TrimSpace(issued)+"\n", "-----END CERTIFICATE-----\n")
		slices.Reverse(blocks)
		if _, err := e.write(strings.TrimPrefix(chain, e.dir), []byte(strings.Join(blocks, ""))); err != nil {
			return err
		}
		signed, err := e.push(ctx, scenario.Demo, "kms/issued-"+strings.ToLower(spec))
		if err != nil {
			return err
		}
		if err := s.signWith(ctx, key, signed, "--plugin-config", "ca_certs="+chain); err != nil {
			return err
		}
		if err := e.agree(ctx, t, signed, true, "CN="+spec); err != nil {
			return err
		}
		selfSigned, err := e.push(ctx, scenario.Demo, "kms/not-issued-"+strings.ToLower(spec))
		if err != nil {
			return err
		}
		if err := s.sign(ctx, key, selfSigned); err != nil {
			return err
		}
		if err := e.agree(ctx, t, selfSigned, false, "no trust store holds the issuer of CN=notation"); err != nil {
			return err
		}
	}
	return nil
}

// kmsProvider trusts the current and the previous certificate in a secret of KMS.
const kmsProvider = `apiVersion: config.ratify.deislabs.io/v1beta1
kind: KeyManagementProvider
metadata:
  name: ratify-notation-inline-cert
spec:
  type: alibabacloudkms
  refreshInterval: 1s
  parameters:
    region: cn-hangzhou
    certificates:
    - secretName: interop-rotation
    - secretName: interop-rotation
      versionStage: ACSPrevious`

// The certificate in KMS is replaced, and the one before removed later. Verdicts follow when the provider is read again; while KMS is down they stay.
func alibabaRotation(ctx context.Context, e *environment) error {
	s, err := e.newKMSSigner(ctx, "kst-rotation")
	if err != nil {
		return err
	}
	var images, certificates []string
	for _, name := range []string{"first", "second"} {
		key, err := s.newKey("EC_P256")
		if err != nil {
			return err
		}
		i, err := e.push(ctx, scenario.Demo, "kms/"+name)
		if err != nil {
			return err
		}
		if err := s.sign(ctx, key, i); err != nil {
			return err
		}
		images, certificates = append(images, i.ref), append(certificates, key.certificate())
	}
	secrets, gateway := e.world.Cloud.KMS(), e.world.Cloud.Endpoint("kms."+scenario.Demo.Region+".aliyuncs.com")
	first := secrets.PutSecret("interop-rotation", certificates[0])
	manifests := strings.Split(clusterManifests(""), "\n---\n")
	manifests[1] = kmsProvider
	c, err := e.startCluster()
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.applied(ctx, strings.Join(manifests, "\n---\n")); err != nil {
		return err
	}
	const verified, refused, undetermined = "verified", "refused", "undetermined"
	for _, step := range []struct {
		change        func()
		first, second string
		says          string // what keeps an image out
	}{
		{func() {}, verified, refused, "no trust store holds the issuer of CN=notation"},
		{func() { secrets.PutSecret("interop-rotation", certificates[1]) }, verified, verified, ""},
		{func() {
			gateway.SetFault(emulator.Fault{Status: http.StatusServiceUnavailable, Match: func(r *http.Request) bool {
				return r.URL.Query().Get("SecretName") == "interop-rotation" // other rows ask, too
			}})
		}, verified, verified, ""},
		{func() { gateway.SetFault(emulator.Fault{}) }, verified, verified, ""},
		{func() { secrets.RemoveSecretVersion("interop-rotation", first) }, refused, verified, "no trust store holds the issuer of CN=notation"},
		{func() { secrets.DeleteSecret("interop-rotation") }, undetermined, undetermined, "no key material is left"},
	} {
		step.change()
		if err := c.refresh(ctx); err != nil {
			return err
		}
		for i, outcome := range []string{step.first, step.second} {
			var words []string
			if outcome != verified {
				words = []string{step.says}
			}
			if err := e.expectKey(ctx, c, outcome, images[i], words...); err != nil {
				return err
			}
		}
	}
	return nil
}

// Two keys of KMS sign as cosign does; then one is disabled.
func alibabaCosign(ctx context.Context, e *environment) error {
	transport := e.world.Cloud.Transport()
	id, secret := e.world.Cloud.AddAccessKey()
	source, err := identity.New(identity.Config{
		Credential: &identity.Credential{Type: "access_key", AccessKeyID: id, AccessKeySecret: secret}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	client, err := kms.NewOpenAPI(kms.Config{Region: scenario.Demo.Region, Identity: source, Transport: transport})
	if err != nil {
		return err
	}
	var ids, images []string
	for _, spec := range []string{"EC_P256", "RSA_2048", "EC_P256"} { // the last one is a stranger's
		id, err := e.world.Cloud.KMS().AddKey(emulated.KeyOptions{Spec: spec})
		if err != nil {
			return err
		}
		signer, err := kms.NewSigner(ctx, client, id, "")
		if err != nil {
			return err
		}
		ref, err := e.cosignImage(ctx, "kms-"+id, func(i image) ([]signing.CosignSignature, error) { return signAll(i, signing.CosignKeyOf(signer)) })
		if err != nil {
			return err
		}
		ids, images = append(ids, id), append(images, ref)
	}
	config := e.cosignConfigWith(map[string]any{"type": "alibabacloudkms", "region": scenario.Demo.Region,
		"keys": []any{map[string]any{"keyId": ids[0]}, map[string]any{"keyId": ids[1]}}}, map[string]any{"tLogVerify": false})
	const notOurs = "it was not made with the key"
	for i, says := range []string{"", "", notOurs} {
		if err := e.cosignExpect(ctx, config, images[i], says); err != nil {
			return err
		}
	}
	e.world.Cloud.KMS().SetKeyState(ids[0], emulated.Disabled)
	for i, says := range []string{notOurs, "", notOurs} {
		if err := e.cosignExpect(ctx, config, images[i], says); err != nil {
			return err
		}
	}
	return nil
}
