package emulator_test

import (
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-core-go/testhelper"
	"github.com/notaryproject/notation-go"
	notationregistry "github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

const signatureType = "application/vnd.cncf.notary.signature"

// TestNotationSignatures signs with notation-go as the owner and finds the signatures as a pod, on both kinds of registry.
func TestNotationSignatures(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "old", ID: "cri-old0000000000001", NoReferrersAPI: true})
	leaf, root := testhelper.GetECLeafCertificate(), testhelper.GetECRootCertificate()
	sign, err := signer.NewGenericSigner(leaf.PrivateKey, []*x509.Certificate{leaf.Cert, root.Cert})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		instance, host string
		referrersAPI   bool
	}{
		{demoID, demoHost, true},
		{"cri-old0000000000001", "old-registry.cn-hangzhou.cr.aliyuncs.com", false},
	}
	for _, test := range tests {
		t.Run(test.host, func(t *testing.T) {
			image := push(t, cloud, test.instance, test.host+"/team/app")
			owner := repository(t, cloud.PushTransport(test.instance), test.host+"/team/app", auth.EmptyCredential)
			for _, mediaType := range []string{jws.MediaTypeEnvelope, cose.MediaTypeEnvelope} {
				_, err := notation.Sign(soon(t), sign, notationregistry.NewRepository(owner), notation.SignOptions{
					SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: mediaType},
					ArtifactReference: test.host + "/team/app@" + image.Digest.String(),
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			cloud.ResetCalls()
			credential := password(t, crClient(t, cloud, crHost, accessKey(t, cloud)), test.instance)
			reader := repository(t, cloud.Transport(), test.host+"/team/app", credential)
			var found []ocispec.Descriptor
			err := reader.Referrers(soon(t), image, signatureType, func(page []ocispec.Descriptor) error {
				found = append(found, page...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(found) != 2 {
				t.Fatalf("%d signatures found, want 2", len(found))
			}
			for _, d := range found {
				if d.ArtifactType != signatureType || d.Annotations["io.cncf.notary.x509chain.thumbprint#S256"] == "" {
					t.Errorf("descriptor %+v", d)
				}
			}
			var envelopes []string
			err = notationregistry.NewRepository(reader).ListSignatures(soon(t), image, func(manifests []ocispec.Descriptor) error {
				for _, manifest := range manifests {
					blob, descriptor, err := notationregistry.NewRepository(reader).FetchSignatureBlob(soon(t), manifest)
					if err != nil || len(blob) == 0 {
						return err
					}
					envelopes = append(envelopes, descriptor.MediaType)
				}
				return nil
			})
			slices.Sort(envelopes)
			if err != nil || !slices.Equal(envelopes, []string{cose.MediaTypeEnvelope, jws.MediaTypeEnvelope}) {
				t.Errorf("envelopes %v, error %v", envelopes, err)
			}
			// The fallback tag's manifest is fetched by those, and only those, who are told that there is no referrers API.
			tags := 0
			_ = reader.Tags(soon(t), "", func(all []string) error {
				for _, tag := range all {
					if strings.HasPrefix(tag, "sha256-") {
						tags++
					}
				}
				return nil
			})
			if (tags == 0) != test.referrersAPI {
				t.Errorf("%d referrers tags, with a referrers API: %t", tags, test.referrersAPI)
			}
		})
	}
}

// TestReferrersAPI checks what clients conclude "there is a referrers API" from, beyond the happy path.
func TestReferrersAPI(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "old", ID: "cri-old0000000000001", NoReferrersAPI: true})
	const oldHost = "old-registry.cn-hangzhou.cr.aliyuncs.com"
	zero := "sha256:" + strings.Repeat("0", 64)
	for _, test := range []struct {
		instance, host, path string
		want                 int
	}{
		{demoID, demoHost, "/v2/never/pushed/referrers/" + zero, http.StatusOK},
		{demoID, demoHost, "/v2/never/pushed/referrers/nonsense", http.StatusBadRequest},
		{"cri-old0000000000001", oldHost, "/v2/never/pushed/referrers/" + zero, http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(soon(t), http.MethodGet, "https://"+test.host+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := cloud.PushTransport(test.instance).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s: %s, want %d", test.path, response.Status, test.want)
		}
	}

	image := push(t, cloud, demoID, demoHost+"/team/app")
	owner := repository(t, cloud.PushTransport(demoID), demoHost+"/team/app", auth.EmptyCredential)
	config, err := oras.PushBytes(soon(t), owner, "application/vnd.test.by-config", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	old, err := oras.PackManifest(soon(t), owner, oras.PackManifestVersion1_1, "",
		oras.PackManifestOptions{Subject: &image, ConfigDescriptor: &config, ManifestAnnotations: map[string]string{"who": "config"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = oras.PackManifest(soon(t), owner, oras.PackManifestVersion1_1, "application/vnd.test.by-type",
		oras.PackManifestOptions{Subject: &image}); err != nil {
		t.Fatal(err)
	}
	for artifactType, want := range map[string]int{"": 2, "application/vnd.test.by-config": 1, "application/vnd.test.by-type": 1, "other": 0} {
		var found []ocispec.Descriptor
		if err := owner.Referrers(soon(t), image, artifactType, func(page []ocispec.Descriptor) error {
			found = append(found, page...)
			return nil
		}); err != nil || len(found) != want {
			t.Errorf("referrers of type %q: %v, error %v, want %d", artifactType, found, err, want)
		}
		if artifactType == "application/vnd.test.by-config" && (found[0].Digest != old.Digest || found[0].Annotations["who"] != "config") {
			t.Errorf("got %+v", found)
		}
	}
}
