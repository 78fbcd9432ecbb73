package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	world "github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// referenceCommand is the argument that makes this program the reference: what has to be done to verify an image, and nothing else. It is a
// process of its own because CPU is counted by process.
const referenceCommand = "reference"

// maxReferenceAnswer bounds what the reference reads of an answer, which is a few kilobytes.
const maxReferenceAnswer = 1 << 20

// referenceInput is what the reference reads.
type referenceInput struct {
	Anchors, User, Password string
	Images                  []referenceImage
}

type referenceImage struct{ Repository, Digest string }

// reference returns the CPU in ms that an image costs the reference.
func (b *bencher) reference(ctx context.Context, images []image) (float64, error) {
	in := referenceInput{Anchors: b.world.Anchors()}
	in.User, in.Password = b.cloud.OwnerPassword(world.Demo.ID)
	for _, i := range images {
		in.Images = append(in.Images, referenceImage{i.repository, i.digest})
	}
	input, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, referenceCommand)
	cmd.Env, cmd.Stdin, cmd.Stderr = b.cloud.PodEnv(), bytes.NewReader(input), os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("the reference: %w", err)
	}
	var spent time.Duration
	if err := json.Unmarshal(output, &spent); err != nil {
		return 0, fmt.Errorf("the reference: %w", err)
	}
	return milliseconds(spent) / float64(len(images)), nil
}

// referenceMain reads its input, verifies the images and writes the CPU that they cost.
func referenceMain(stdin io.Reader, stdout io.Writer) error {
	var in referenceInput
	if err := json.NewDecoder(stdin).Decode(&in); err != nil {
		return err
	}
	policy := &trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
		Name: "all", RegistryScopes: []string{"*"}, SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: "strict"},
		TrustStores: []string{"ca:certs"}, TrustedIdentities: []string{"*"},
	}}}
	store, err := readAnchors(in.Anchors)
	if err != nil {
		return err
	}
	v, err := verifier.New(policy, store, nil)
	if err != nil {
		return err
	}
	if err := in.verify(v, in.Images[0]); err != nil { // connections and what is made once are not counted
		return err
	}
	before := cpuOfThis()
	for _, i := range in.Images {
		if err := in.verify(v, i); err != nil {
			return fmt.Errorf("%s: %w", i.Repository, err)
		}
	}
	return json.NewEncoder(stdout).Encode(cpuOfThis() - before)
}

// verify makes the five calls, each once, and has notation-go verify what they bring.
func (in referenceInput) verify(v notation.Verifier, i referenceImage) error {
	base := "https://" + registryHost + "/v2/" + i.Repository
	query := url.Values{"service": {"registry.aliyuncs.com:" + world.Demo.Region + ":" + world.Demo.ID}, "scope": {"repository:" + i.Repository + ":pull"}}
	request, err := http.NewRequest(http.MethodGet, "https://"+tokenHost+"/auth?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	request.SetBasicAuth(in.User, in.Password)
	answer, _, err := exchange(request)
	if err != nil {
		return err
	}
	var token struct{ Token string }
	if err := json.Unmarshal(answer, &token); err != nil {
		return err
	}
	call := func(method, path string, into any) (http.Header, []byte, error) {
		request, err := http.NewRequest(method, base+path, nil)
		if err != nil {
			return nil, nil, err
		}
		request.Header.Set("Authorization", "Bearer "+token.Token)
		request.Header.Set("Accept", ocispec.MediaTypeImageManifest)
		body, header, err := exchange(request)
		if err == nil && into != nil {
			err = json.Unmarshal(body, into)
		}
		return header, body, err
	}
	header, _, err := call(http.MethodHead, "/manifests/"+i.Digest, nil)
	if err != nil {
		return err
	}
	var size int64
	if _, err := fmt.Sscan(header.Get("Content-Length"), &size); err != nil {
		return err
	}
	var referrers ocispec.Index
	if _, _, err := call(http.MethodGet, "/referrers/"+i.Digest, &referrers); err != nil {
		return err
	}
	var signature ocispec.Manifest
	if _, _, err := call(http.MethodGet, "/manifests/"+referrers.Manifests[0].Digest.String(), &signature); err != nil {
		return err
	}
	_, envelope, err := call(http.MethodGet, "/blobs/"+signature.Layers[0].Digest.String(), nil)
	if err != nil {
		return err
	}
	image := ocispec.Descriptor{MediaType: cmp.Or(header.Get("Content-Type"), ocispec.MediaTypeImageManifest), Digest: digest.Digest(i.Digest), Size: size}
	_, err = v.Verify(context.Background(), image, envelope, notation.VerifierVerifyOptions{
		ArtifactReference: registryHost + "/" + i.Repository + "@" + i.Digest, SignatureMediaType: jws.MediaTypeEnvelope,
	})
	return err
}

func exchange(request *http.Request) ([]byte, http.Header, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReferenceAnswer))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s", request.Method, request.URL, response.Status)
	}
	return body, response.Header, err
}

// anchors are a trust store in memory.
type anchors []*x509.Certificate

// GetCertificates implements truststore.X509TrustStore.
func (a anchors) GetCertificates(context.Context, truststore.Type, string) ([]*x509.Certificate, error) {
	return a, nil
}

func readAnchors(text string) (anchors, error) {
	var all anchors
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate")
	}
	return all, nil
}

// cpuOfThis returns the CPU that this process has used.
func cpuOfThis() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // only for an argument that does not exist
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
