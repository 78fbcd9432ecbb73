package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/referrerstore/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
)

// The protocol of Ratify v1.4 (pkg/referrerstore/plugin there, which links a client of all of Kubernetes): what a program is told besides its
// input, and the commands.
const (
	commandVariable   = "RATIFY_STORE_COMMAND"
	subjectVariable   = "RATIFY_STORE_SUBJECT"
	versionVariable   = "RATIFY_STORE_VERSION"
	argumentsVariable = "RATIFY_STORE_ARGS"

	listReferrers = "LISTREFERRERS"
	getBlob       = "GETBLOB"
	getManifest   = "GETREFMANIFEST"
	getDescriptor = "GETSUBJECTDESCRIPTOR"
)

// maxReferrers bounds a page of a referrers list. Images have a handful; each costs a run of a program, and a verification.
const maxReferrers = 500

// Options are what a Store needs besides its configuration.
type Options struct {
	// Version is that of the protocol.
	Version string
	// Directories are searched for the program, in their order.
	Directories []string
	// Log receives what programs log. Nil: slog.Default().
	Log *slog.Logger
}

// Store reads with a program. It is immutable and safe for concurrent use. All its errors mean that it could not find out.
type Store struct {
	name   string
	path   string
	config config.StoreConfig
	log    *slog.Logger
}

var _ referrerstore.ReferrerStore = (*Store)(nil)

// New looks for the program that is called as the name in cfg. An error is about the configuration; it names the field, or the directories
// that do not have the program (executable.ErrNotFound).
func New(cfg config.StorePluginConfig, o Options) (*Store, error) {
	name, ok := cfg[types.Name].(string)
	if !ok {
		return nil, fmt.Errorf("%s: %v is not a text", types.Name, cfg[types.Name])
	}
	path, err := executable.Find(name, o.Directories)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", types.Name, err)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Store{name: name, path: path, log: o.Log, config: config.StoreConfig{
		Version: o.Version, PluginBinDirs: slices.Clone(o.Directories), Store: maps.Clone(cfg),
	}}, nil
}

// Name returns the store's name, which is the program's, too.
func (s *Store) Name() string { return s.name }

// GetConfig returns the configuration that the store was made of.
func (s *Store) GetConfig() *config.StoreConfig { return &s.config }

// ListReferrers lists a page of the referrers of subject: those of the artifact types, or of all if there are none, "" or "*".
func (s *Store) ListReferrers(ctx context.Context, subject common.Reference, artifactTypes []string, nextToken string,
	_ *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	var page types.ReferrersResult
	err := s.ask(ctx, listReferrers, subject, &page,
		[2]string{"nextToken", nextToken}, [2]string{"artifactTypes", strings.Join(artifactTypes, ",")})
	if err == nil {
		err = checkPage(page, nextToken)
	}
	if err != nil {
		return referrerstore.ListReferrersResult{}, fmt.Errorf("listing the referrers of %s: %w", subject.Original, err)
	}
	all := len(artifactTypes) == 0 || slices.Contains(artifactTypes, "") || slices.Contains(artifactTypes, "*")
	page.Referrers = slices.DeleteFunc(page.Referrers, func(d ocispecs.ReferenceDescriptor) bool {
		return !all && !slices.Contains(artifactTypes, d.ArtifactType) // programs need not look at what is asked for
	})
	return referrerstore.ListReferrersResult{Referrers: page.Referrers, NextToken: page.NextToken}, nil
}

func checkPage(page types.ReferrersResult, token string) error {
	if n := len(page.Referrers); n > maxReferrers {
		return fmt.Errorf("the reply has %d referrers, and %d are accepted: delete what is not needed", n, maxReferrers)
	}
	if page.NextToken != "" && page.NextToken == token {
		return fmt.Errorf("the reply names the page %q as the one after itself", executable.Clean(token))
	}
	for i, d := range page.Referrers {
		if err := check(d.Descriptor); err != nil {
			return fmt.Errorf("referrers[%d] of the reply: %w", i, err)
		}
	}
	return nil
}

// GetBlobContent reads a blob.
func (s *Store) GetBlobContent(ctx context.Context, subject common.Reference, id digest.Digest) ([]byte, error) {
	content, err := s.blob(ctx, subject, id)
	if err != nil {
		return nil, fmt.Errorf("reading blob %s of %s: %w", id, subject.Original, err)
	}
	return content, nil
}

func (s *Store) blob(ctx context.Context, subject common.Reference, id digest.Digest) ([]byte, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	output, err := s.run(ctx, getBlob, subject, [2]string{"digest", id.String()})
	if err != nil {
		return nil, err
	}
	lines := strings.FieldsFunc(string(output.Stderr), func(r rune) bool { return r == '\n' })
	executable.Log(ctx, s.log, s.name, lines)
	if got := id.Algorithm().FromBytes(output.Stdout); got != id {
		return nil, fmt.Errorf("plugin %s printed %d bytes with digest %s", s.path, len(output.Stdout), got)
	}
	return output.Stdout, nil
}

// GetReferenceManifest reads the manifest of a referrer.
func (s *Store) GetReferenceManifest(ctx context.Context, subject common.Reference,
	desc ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	var manifest ocispecs.ReferenceManifest
	err := desc.Digest.Validate()
	if err == nil {
		err = s.ask(ctx, getManifest, subject, &manifest, [2]string{"digest", desc.Digest.String()})
	}
	for i, blob := range manifest.Blobs {
		if problem := check(blob); err == nil && problem != nil {
			err = fmt.Errorf("blobs[%d] of the reply: %w", i, problem)
		}
	}
	if err == nil && manifest.MediaType == "" {
		err = errors.New("the reply is no manifest: mediaType is missing")
	}
	if err != nil {
		return ocispecs.ReferenceManifest{}, fmt.Errorf("reading manifest %s of %s: %w", desc.Digest, subject.Original, err)
	}
	return manifest, nil
}

// GetSubjectDescriptor finds out what subject refers to.
func (s *Store) GetSubjectDescriptor(ctx context.Context, subject common.Reference) (*ocispecs.SubjectDescriptor, error) {
	var desc ocispecs.SubjectDescriptor
	err := s.ask(ctx, getDescriptor, subject, &desc)
	if err == nil {
		err = check(desc.Descriptor)
	}
	if err == nil && subject.Digest != "" && desc.Digest != subject.Digest {
		err = fmt.Errorf("the reply is about %s", desc.Digest)
	}
	if err != nil {
		return nil, fmt.Errorf("resolving %s: %w", subject.Original, err)
	}
	return &desc, nil
}

// check returns an error unless something can be found by the descriptor.
func check(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", executable.Clean(d.Digest.String()), err)
	}
	if d.Size < 0 {
		return fmt.Errorf("size: %d", d.Size)
	}
	return nil
}

// ask runs the program and decodes its reply.
func (s *Store) ask(ctx context.Context, command string, subject common.Reference, reply any, args ...[2]string) error {
	output, err := s.run(ctx, command, subject, args...)
	if err != nil {
		return err
	}
	object, log, err := executable.Reply(output)
	if err != nil {
		return fmt.Errorf("plugin %s %w", s.path, err)
	}
	executable.Log(ctx, s.log, s.name, log)
	if err := json.Unmarshal(object, reply); err != nil {
		return fmt.Errorf("plugin %s: the reply to %s: %w", s.path, command, err)
	}
	return nil
}

func (s *Store) run(ctx context.Context, command string, subject common.Reference, args ...[2]string) (executable.Output, error) {
	joined := make([]string, len(args))
	for i, arg := range args {
		if strings.ContainsAny(arg[1], "=;") {
			return executable.Output{}, fmt.Errorf("%s: %q has a character, = or ;, that cannot be passed to plugins", arg[0], executable.Clean(arg[1]))
		}
		joined[i] = arg[0] + "=" + arg[1]
	}
	stdin, err := json.Marshal(s.config.Store)
	if err != nil {
		return executable.Output{}, fmt.Errorf("write the input of plugin %s: %w", s.path, err)
	}
	return executable.Run(ctx, s.path, stdin, []string{
		commandVariable + "=" + command,
		subjectVariable + "=" + subject.String(),
		argumentsVariable + "=" + strings.Join(joined, ";"),
		versionVariable + "=" + s.config.Version,
	})
}
