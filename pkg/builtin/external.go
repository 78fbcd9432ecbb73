package builtin

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ratify-project/ratify/pkg/featureflag"
	upstreamstore "github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	storeplugin "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/plugin"
	verifierplugin "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/plugin"
)

// externalStore makes stores that are programs.
func externalStore(o Options) config.StoreFactory {
	return func(ctx context.Context, c storeconfig.StorePluginConfig, in config.StoreInput) (upstreamstore.ReferrerStore, error) {
		if err := o.install(ctx, c, c["name"], in.PluginDirs); err != nil {
			return nil, err
		}
		return storeplugin.New(c, storeplugin.Options{Version: in.Version, Directories: in.PluginDirs, Log: o.Log})
	}
}

// externalVerifier makes verifiers that are programs.
func externalVerifier(o Options) config.VerifierFactory {
	return func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
		kind, ok := c["type"]
		if !ok {
			kind = c["name"]
		}
		if err := o.install(ctx, c, kind, in.PluginDirs); err != nil {
			return nil, err
		}
		return verifierplugin.New(c, verifierplugin.Options{Version: in.Version, Directories: in.PluginDirs, Log: o.Log})
	}
}

// pluginSource is where a plugin is downloaded from.
type pluginSource struct {
	Artifact     string         `json:"artifact"`
	AuthProvider map[string]any `json:"authProvider"`
}

// install gets the program that the block's source names, if it names one, into the first plugin directory. Who may write to the source's
// repository decides what runs here, unless the source has a digest; which is why it is done only with the feature flag.
func (o Options) install(ctx context.Context, block map[string]any, kind any, directories []string) error {
	source, ok := block["source"]
	if !ok {
		return nil
	}
	if !featureflag.DynamicPlugins.Enabled {
		o.Log.Warn("source is ignored: set RATIFY_EXPERIMENTAL_DYNAMIC_PLUGINS=1 to download plugins", "plugin", kind)
		return nil
	}
	text, err := json.Marshal(source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	var parsed pluginSource
	if err := parameter.Decode("source", text, &parsed); err != nil {
		return err
	}
	name, ok := kind.(string)
	if !ok || parsed.Artifact == "" {
		return fmt.Errorf("source: needs a text in type or name, and artifact: the reference of the plugin's image")
	}
	err = executable.Install(directories[0], name, func(path string) error { return o.download(ctx, parsed, path) })
	if err != nil {
		return fmt.Errorf("source: %s %w: %w", parsed.Artifact, config.ErrDownload, err)
	}
	o.Log.Info("plugin downloaded", "plugin", name, "source", parsed.Artifact)
	return nil
}
