package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/referrerstore/plugin/skel"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
)

// all are what this binary is when it is started by their names.
var all = programs.Programs{
	// prints prints what the test wants.
	"prints": func() {
		fmt.Print(os.Getenv("TEST_STDOUT"))
		code, _ := strconv.Atoi(os.Getenv("TEST_EXIT"))
		os.Exit(code)
	},
	// kit is a store made with Ratify's kit for plugins.
	"kit": func() {
		fmt.Fprintln(os.Stderr, "INFO: started")
		skel.PluginMain("kit", "1.0.0", kitReferrers, kitBlob, kitManifest, kitSubject, []string{"1.0.0"})
	},
}

func TestMain(m *testing.M) { all.Main(m) }

func newStore(t *testing.T, name string) *Store {
	t.Helper()
	s, err := New(config.StorePluginConfig{"name": name, "own": "parameter"}, Options{Version: "1.0.0", Directories: []string{all.Folder(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	image   = digest.FromString("image")
	subject = common.Reference{Path: "r.example/app", Digest: image, Original: "r.example/app@" + image.String()}
	blob    = []byte("{\n \"b\": 1, \"a\": 2 }\x00 \xff\n") // Ratify itself would hand on something else
)

func desc(content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "text/plain", Digest: digest.FromString(content), Size: int64(len(content))}
}

func kitReferrers(args *skel.CmdArgs, _ common.Reference, artifactTypes []string, token string, _ *ocispecs.SubjectDescriptor) (*referrerstore.ListReferrersResult, error) {
	if token == "" {
		return &referrerstore.ListReferrersResult{NextToken: "second", Referrers: []ocispecs.ReferenceDescriptor{
			{Descriptor: desc("signature"), ArtifactType: "signature"}, {Descriptor: desc("sbom"), ArtifactType: "sbom"}}}, nil
	}
	return &referrerstore.ListReferrersResult{Referrers: []ocispecs.ReferenceDescriptor{
		{Descriptor: desc(strings.Join(artifactTypes, "+") + token + string(args.StdinData)), ArtifactType: "sbom"}}}, nil
}

func kitBlob(_ *skel.CmdArgs, _ common.Reference, id digest.Digest) ([]byte, error) {
	if id == digest.FromString("missing") {
		return nil, errors.New("not found")
	}
	return blob, nil
}

func kitManifest(_ *skel.CmdArgs, _ common.Reference, id digest.Digest) (ocispecs.ReferenceManifest, error) {
	return ocispecs.ReferenceManifest{MediaType: "type", Blobs: []ocispec.Descriptor{desc(id.String())}}, nil
}

func kitSubject(_ *skel.CmdArgs, ref common.Reference) (*ocispecs.SubjectDescriptor, error) {
	if ref.Digest == "" {
		return &ocispecs.SubjectDescriptor{Descriptor: desc(ref.Tag)}, nil
	}
	return &ocispecs.SubjectDescriptor{Descriptor: ocispec.Descriptor{Digest: ref.Digest}}, nil
}

func TestStore(t *testing.T) {
	s := newStore(t, "kit")
	ctx := t.Context()
	tagged := common.Reference{Path: "r.example/app", Tag: "v1", Original: "r.example/app:v1"}
	if got, err := s.GetSubjectDescriptor(ctx, tagged); err != nil || got.Digest != digest.FromString("v1") {
		t.Errorf("GetSubjectDescriptor(%s) = %v, %v", tagged.Original, got, err)
	}
	if got, err := s.GetSubjectDescriptor(ctx, subject); err != nil || got.Digest != image {
		t.Errorf("GetSubjectDescriptor(%s) = %v, %v", subject.Original, got, err)
	}
	page, err := s.ListReferrers(ctx, subject, nil, "", nil)
	if err != nil || len(page.Referrers) != 2 || page.Referrers[0].ArtifactType != "signature" || page.Referrers[0].Size != 9 || page.NextToken != "second" {
		t.Errorf("ListReferrers() = %+v, %v", page, err)
	}
	page, err = s.ListReferrers(ctx, subject, []string{"sbom", "other"}, "", nil)
	if err != nil || len(page.Referrers) != 1 || page.Referrers[0].ArtifactType != "sbom" || page.NextToken != "second" {
		t.Errorf("ListReferrers(sbom) = %+v, %v", page, err)
	}
	page, err = s.ListReferrers(ctx, subject, []string{"sbom", "other"}, page.NextToken, nil)
	if want := digest.FromString(`sbom+othersecond{"name":"kit","own":"parameter"}`); err != nil || page.Referrers[0].Digest != want || page.NextToken != "" {
		t.Errorf("ListReferrers(second page) = %+v, %v", page, err)
	}
	manifest, err := s.GetReferenceManifest(ctx, subject, ocispecs.ReferenceDescriptor{Descriptor: desc("signature")})
	if err != nil || manifest.MediaType != "type" || manifest.Blobs[0].Digest != digest.FromString(digest.FromString("signature").String()) {
		t.Errorf("GetReferenceManifest() = %+v, %v", manifest, err)
	}
	content, err := s.GetBlobContent(ctx, subject, digest.FromBytes(blob))
	if err != nil || string(content) != string(blob) {
		t.Errorf("GetBlobContent() = %q, %v", content, err)
	}
	got, err := json.Marshal(s.GetConfig())
	if want := fmt.Sprintf(`{"version":"1.0.0","pluginBinDirs":[%q],"store":{"name":"kit","own":"parameter"}}`, filepath.Dir(s.path)); string(got) != want {
		t.Errorf("GetConfig() = %s, %v; want %s", got, err, want)
	}
}

func TestStoreFails(t *testing.T) {
	s := newStore(t, "kit")
	for _, tt := range []struct {
		name string
		call func(context.Context) error
		says string
	}{
		{"another blob", func(ctx context.Context) error {
			_, err := s.GetBlobContent(ctx, subject, digest.FromString("blob"))
			return err
		}, "reading blob " + digest.FromString("blob").String() + " of " + subject.Original + ": plugin " + s.path + " printed"},
		{"missing blob", func(ctx context.Context) error {
			_, err := s.GetBlobContent(ctx, subject, digest.FromString("missing"))
			return err
		}, `"details": "not found"`},
		{"no digest", func(ctx context.Context) error { _, err := s.GetBlobContent(ctx, subject, "sha256:1"); return err }, "invalid checksum digest length"},
		{"no digest of a manifest", func(ctx context.Context) error {
			_, err := s.GetReferenceManifest(ctx, subject, ocispecs.ReferenceDescriptor{})
			return err
		}, "invalid checksum digest format"},
		{"artifact type with =", func(ctx context.Context) error {
			_, err := s.ListReferrers(ctx, subject, []string{"a/b;c=d"}, "", nil)
			return err
		}, "artifactTypes:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.call(t.Context()); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
		})
	}
}

func TestBadReplies(t *testing.T) {
	s := newStore(t, "prints")
	list := func(ctx context.Context) error { _, err := s.ListReferrers(ctx, subject, nil, "page", nil); return err }
	manifest := func(ctx context.Context) error {
		_, err := s.GetReferenceManifest(ctx, subject, ocispecs.ReferenceDescriptor{Descriptor: desc("x")})
		return err
	}
	resolve := func(ctx context.Context) error { _, err := s.GetSubjectDescriptor(ctx, subject); return err }
	ok := digest.FromString("x").String()
	for _, tt := range []struct {
		name   string
		call   func(context.Context) error
		stdout string
		says   string
	}{
		{"nothing", list, "", "no JSON object"},
		{"a list", list, "[]", "no JSON object"},
		{"two pages", list, `{"referrers":[]}` + "\n" + `{"referrers":[]}`, "2 JSON objects"},
		{"referrers of another type", list, `{"referrers":1}`, "the reply to LISTREFERRERS"},
		{"referrer without digest", list, `{"referrers":[{"artifactType":"a"}]}`, `referrers[0] of the reply: digest ""`},
		{"referrer of negative size", list, `{"referrers":[{"digest":"` + ok + `","size":-1}]}`, "size: -1"},
		{"circle of pages", list, `{"nextToken":"page"}`, "after itself"},
		{"too many referrers", list, `{"referrers":[{}` + strings.Repeat(",{}", maxReferrers) + `]}`, "501 referrers, and 500 are accepted"},
		{"no manifest", manifest, `{}`, "mediaType is missing"},
		{"bad blob", manifest, `{"mediaType":"a","blobs":[{"digest":"` + ok + `"},{"digest":"sha256:x"}]}`, "blobs[1] of the reply"},
		{"another subject", resolve, `{"digest":"` + ok + `"}`, "the reply is about " + ok},
		{"subject without digest", resolve, `{}`, `digest ""`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("TEST_STDOUT", tt.stdout)
			if err := tt.call(t.Context()); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), subject.Original) {
				t.Errorf("error %v, want one that says %q", err, tt.says)
			}
		})
	}
	t.Run("exit code", func(t *testing.T) {
		t.Setenv("TEST_STDOUT", `{"digest":"`+image.String()+`"}`)
		t.Setenv("TEST_EXIT", "1")
		if _, ok := errors.AsType[*executable.Error](resolve(t.Context())); !ok {
			t.Error("a program that failed is believed")
		}
	})
}

func TestNewFails(t *testing.T) {
	dir := all.Folder(t)
	for _, tt := range []struct {
		name any
		says string
	}{
		{nil, "name: <nil> is not a text"},
		{1, "name: 1 is not a text"},
		{"", `name: "" is not the name of a plugin`},
		{"../kit", "without a path"},
		{"missing", "looked for " + dir + "/missing"},
	} {
		if s, err := New(config.StorePluginConfig{"name": tt.name}, Options{Directories: []string{dir}}); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("New(name %v) = %v, %v; want an error that says %q", tt.name, s, err, tt.says)
		}
	}
}
