package signing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// Name is that of Alibaba Cloud's own plugin, which this one takes the place of.
const Name = "alibabacloud.secretmanager.plugin"

// unversioned is what a build without a version says: notation compares versions by https://semver.org.
const unversioned = "0.0.0-dev"

// Options of New.
type Options struct {
	Version string // of the plugin, a semantic version; default 0.0.0-dev
	// Connect returns the client of KMS; default (*settings.Settings).Client. It is called when a key is asked about or used.
	Connect func(*settings.Settings) (kms.Client, error)
	Notices io.Writer        // gets what people should know about a signature that was made; default io.Discard
	Now     func() time.Time // default time.Now
}

// Plugin answers the commands of notation. Its errors are *plugin.Error.
type Plugin struct{ o Options }

// New returns a Plugin. It needs no environment, no files and no network.
func New(o Options) *Plugin {
	o.Version = cmp.Or(o.Version, unversioned)
	if o.Connect == nil {
		o.Connect = (*settings.Settings).Client
	}
	if o.Notices == nil {
		o.Notices = io.Discard
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Plugin{o}
}

// GetMetadata implements plugin.Plugin. No capability to verify is claimed: notation itself verifies what this plugin signs.
func (p *Plugin) GetMetadata(context.Context, *plugin.GetMetadataRequest) (*plugin.GetMetadataResponse, error) {
	return &plugin.GetMetadataResponse{
		Name:                      Name,
		Description:               "Sign with keys of Alibaba Cloud KMS",
		Version:                   p.o.Version,
		URL:                       "https://github.com/ratify-alibabacloud/ratify-alibabacloud",
		SupportedContractVersions: []string{plugin.ContractVersion},
		Capabilities:              []plugin.Capability{plugin.CapabilitySignatureGenerator},
	}, nil
}

// DescribeKey implements plugin.Plugin.
func (p *Plugin) DescribeKey(ctx context.Context, req *plugin.DescribeKeyRequest) (*plugin.DescribeKeyResponse, error) {
	var spec plugin.KeySpec
	_, err := p.session(ctx, req.ContractVersion, req.KeyID, req.PluginConfig, func(s *session) (err error) {
		spec, err = s.describe()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &plugin.DescribeKeyResponse{KeyID: req.KeyID, KeySpec: spec}, nil
}

// GenerateSignature implements plugin.Plugin.
func (p *Plugin) GenerateSignature(ctx context.Context, req *plugin.GenerateSignatureRequest) (*plugin.GenerateSignatureResponse, error) {
	if req.Hash != plugin.HashAlgorithmSHA256 {
		return nil, plugin.NewValidationErrorf("hashAlgorithm %q: KMS signs over SHA-256 only, which is that of keys of spec RSA_2048 and EC_P256", req.Hash)
	}
	resp := &plugin.GenerateSignatureResponse{KeyID: req.KeyID}
	notices, err := p.session(ctx, req.ContractVersion, req.KeyID, req.PluginConfig, func(s *session) error {
		made, err := s.generate(req.KeySpec, req.Payload)
		if err != nil {
			return err
		}
		for _, cert := range made.chain {
			resp.CertificateChain = append(resp.CertificateChain, cert.Raw)
		}
		resp.Signature, resp.SigningAlgorithm, err = envelopeForm(made)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Last, as notation takes whatever is on stderr after a failure for the error.
	for _, notice := range notices {
		fmt.Fprintf(p.o.Notices, "%s: %s\n", Name, notice)
	}
	return resp, nil
}

// GenerateEnvelope implements plugin.Plugin. The capability is not claimed.
func (p *Plugin) GenerateEnvelope(context.Context, *plugin.GenerateEnvelopeRequest) (*plugin.GenerateEnvelopeResponse, error) {
	return nil, plugin.NewUnsupportedError(string(plugin.CommandGenerateEnvelope))
}

// VerifySignature implements plugin.Plugin. The capability is not claimed.
func (p *Plugin) VerifySignature(context.Context, *plugin.VerifySignatureRequest) (*plugin.VerifySignatureResponse, error) {
	return nil, plugin.NewUnsupportedError(string(plugin.CommandVerifySignature))
}

// session runs do with the settings and the client of one command, within the time that the settings give it. Errors are *plugin.Error.
func (p *Plugin) session(ctx context.Context, contract, keyID string, config map[string]string, do func(*session) error) (notices []string, err error) {
	if contract != plugin.ContractVersion {
		return nil, plugin.NewUnsupportedContractVersionError(contract)
	}
	set, err := settings.Parse(config)
	if err != nil {
		return nil, failure(err)
	}
	client, err := p.o.Connect(set)
	if err != nil {
		return nil, failure(err)
	}
	ctx, cancel := context.WithTimeout(ctx, set.Timeout)
	defer cancel()
	s := &session{ctx: ctx, client: client, keyID: keyID, settings: set, now: p.o.Now()}
	if err := do(s); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("%w; the command had %s, which %s changes", err, set.Timeout, settings.Key("timeout"))
		}
		return nil, failure(err)
	}
	return s.notices, nil
}
