package signing

import (
	"context"

	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	"github.com/notaryproject/notation-go/plugin"
	"github.com/notaryproject/notation-go/registry"
	"github.com/notaryproject/notation-go/signer"
	framework "github.com/notaryproject/notation-plugin-framework-go/plugin"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"
)

// Plugin is a Notation signing plugin.
type Plugin struct{ plugin framework.Plugin }

// InstallPlugin installs a plugin's executable in a folder of plugins, as `notation plugin install` does.
func InstallPlugin(ctx context.Context, folder, executable string) (Plugin, error) {
	manager := plugin.NewCLIManager(dir.NewSysFS(folder))
	_, installed, err := manager.Install(ctx, plugin.CLIInstallOptions{PluginPath: executable})
	if err != nil {
		return Plugin{}, err
	}
	p, err := manager.Get(ctx, installed.Name)
	return Plugin{p}, err
}

// Sign signs an image with a key of the plugin's and attaches the signature, as `notation sign --plugin` does. The plugin has the environment of
// this process.
func (p Plugin) Sign(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor, mediaType, key string, config map[string]string) error {
	s, err := signer.NewPluginSigner(p.plugin, key, config)
	if err != nil {
		return err
	}
	_, err = notation.Sign(ctx, s, registry.NewRepository(repo), notation.SignOptions{
		ArtifactReference: image.Digest.String(),
		SignerSignOptions: notation.SignerSignOptions{SignatureMediaType: mediaType, PluginConfig: config},
	})
	return err
}
