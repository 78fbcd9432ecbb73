package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	re "github.com/ratify-project/ratify/errors"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	storefactory "github.com/ratify-project/ratify/pkg/referrerstore/factory"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"
	"github.com/ratify-project/ratify/pkg/verifier/plugin/skel"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
)

// all are what this binary is when it is started by their names.
var all = programs.Programs{
	// prints prints what the test wants.
	"prints": func() {
		fmt.Print(os.Getenv("TEST_STDOUT"))
		fmt.Fprint(os.Stderr, os.Getenv("TEST_STDERR"))
		code, _ := strconv.Atoi(os.Getenv("TEST_EXIT"))
		os.Exit(code)
	},
	// repeats tells what it was given.
	"repeats": func() {
		stdin, _ := io.ReadAll(os.Stdin)
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"isSuccess": true, "extensions": map[string]any{
			"stdin": string(stdin), "command": os.Getenv("RATIFY_VERIFIER_COMMAND"), "subject": os.Getenv("RATIFY_VERIFIER_SUBJECT"),
			"version": os.Getenv("RATIFY_VERIFIER_VERSION"), "other": os.Getenv("TEST_OTHER"),
		}})
	},
	// kit is made with Ratify's kit for plugins, and reports failed reads as Ratify's programs do.
	"kit": func() {
		storefactory.Register("oras", factory{})
		skel.PluginMain("kit", "1.0.0", verifyWithKit, []string{"1.0.0"})
	},
}

func TestMain(m *testing.M) { all.Main(m) }

func verifyWithKit(args *skel.CmdArgs, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) (*verifier.VerifierResult, error) {
	var input struct {
		Config struct {
			Name string `json:"name"`
			Fail string `json:"fail"`
		} `json:"config"`
	}
	if err := json.Unmarshal(args.StdinData, &input); err != nil {
		return nil, err
	}
	result := verifier.NewVerifierResult("", input.Config.Name, "", "fine", true, nil, nil)
	_, err := store.GetReferenceManifest(context.Background(), subject, desc)
	switch {
	case err == nil:
	case input.Config.Fail == "error":
		return nil, err
	case input.Config.Fail == "text":
		result = verifier.NewVerifierResult("", input.Config.Name, "", "reading: "+err.Error(), false, nil, nil)
	default:
		failure := re.ErrorCodeVerifyPluginFailure.WithDetail("Failed to fetch blob for subject:[" + subject.String() + "]").WithError(err)
		result = verifier.NewVerifierResult("", input.Config.Name, "", "", false, &failure, nil)
	}
	return &result, nil
}

// factory makes the store inside of the program "kit".
type factory struct{}

func (factory) Create(_ string, c storeconfig.StorePluginConfig) (referrerstore.ReferrerStore, error) {
	down, _ := c["down"].(bool)
	return &fakeStore{down: down}, nil
}

// fakeStore has one referrer.
type fakeStore struct {
	manifest ocispecs.ReferenceManifest
	err      error // of reading the manifest
	down     bool  // fails as Ratify's store does
	config   *storeconfig.StoreConfig
}

func (s *fakeStore) Name() string { return "oras" }
func (s *fakeStore) ListReferrers(context.Context, common.Reference, []string, string, *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	return referrerstore.ListReferrersResult{}, errors.New("not expected")
}
func (s *fakeStore) GetBlobContent(context.Context, common.Reference, digest.Digest) ([]byte, error) {
	return nil, errors.New("not expected")
}
func (s *fakeStore) GetSubjectDescriptor(context.Context, common.Reference) (*ocispecs.SubjectDescriptor, error) {
	return nil, errors.New("not expected")
}
func (s *fakeStore) GetConfig() *storeconfig.StoreConfig { return s.config }
func (s *fakeStore) GetReferenceManifest(context.Context, common.Reference, ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	if s.down {
		return ocispecs.ReferenceManifest{}, re.ErrorCodeRepositoryOperationFailure.WithDetail("Failed to fetch the artifact metadata from the registry").
			WithError(errors.New(`GET "https://r.example/v2/a?X-Signature=s3cret": response status code 503: Service Unavailable`))
	}
	return s.manifest, s.err
}

var (
	subject = common.Reference{Path: "r.example/app", Digest: digest.FromString("image"),
		Original: "r.example/app@" + digest.FromString("image").String()}
	referrer = ocispecs.ReferenceDescriptor{ArtifactType: "application/spdx+json", Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("sbom"), Size: 4, Annotations: map[string]string{"a": "b"}}}
)

func store() *fakeStore {
	return &fakeStore{
		manifest: ocispecs.ReferenceManifest{Blobs: []ocispec.Descriptor{{Digest: digest.FromString("blob"), Size: 4}}},
		config:   &storeconfig.StoreConfig{Version: "1.0.0", Store: storeconfig.StorePluginConfig{"name": "oras"}},
	}
}

func newVerifier(t *testing.T, cfg config.VerifierConfig, o Options) *Verifier {
	t.Helper()
	o.Version, o.Directories = "1.0.0", []string{all.Folder(t)}
	v, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
