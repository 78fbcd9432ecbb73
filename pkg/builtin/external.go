package builtin

import (
	"context"
	"fmt"
	"log/slog"

	pluginsource "github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/featureflag"
	upstreamstore "github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	storeplugin "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/plugin"
	verifierplugin "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/plugin"
)

// externalStore makes stores that are programs.
func externalStore(log *slog.Logger) config.StoreFactory {
	return func(c storeconfig.StorePluginConfig, in config.StoreInput) (upstreamstore.ReferrerStore, error) {
		if err := download(c, c["name"], in.PluginDirs, log); err != nil {
			return nil, err
		}
		return storeplugin.New(c, storeplugin.Options{Version: in.Version, Directories: in.PluginDirs, Log: log})
	}
}

// externalVerifier makes verifiers that are programs.
func externalVerifier(log *slog.Logger) config.VerifierFactory {
	return func(_ context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
		kind, ok := c["type"]
		if !ok {
			kind = c["name"]
		}
		if err := download(c, kind, in.PluginDirs, log); err != nil {
			return nil, err
		}
		return verifierplugin.New(c, verifierplugin.Options{Version: in.Version, Directories: in.PluginDirs, Log: log})
	}
}

// download gets the program that the block's source names, if it names one, into the first plugin directory. The download is Ratify's: it
// has time-outs of its own, but no limit of size, and compares no digests. Who may write to the source's repository decides what runs here;
// which is why Ratify does it only with the feature flag.
func download(block map[string]any, kind any, directories []string, log *slog.Logger) error {
	source, ok := block["source"]
	if !ok {
		return nil
	}
	if !featureflag.DynamicPlugins.Enabled {
		log.Warn("source is ignored: set RATIFY_EXPERIMENTAL_DYNAMIC_PLUGINS=1 to download plugins", "plugin", kind)
		return nil
	}
	parsed, err := pluginsource.ParsePluginSource(source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	name, ok := kind.(string)
	if !ok || parsed.Artifact == "" {
		return fmt.Errorf("source: needs a text in type or name, and artifact: the reference of the plugin's image")
	}
	err = executable.Install(directories[0], name, func(path string) error { return pluginsource.DownloadPlugin(parsed, path) })
	if err != nil {
		return fmt.Errorf("source: download %s: %w", parsed.Artifact, err)
	}
	log.Info("plugin downloaded", "plugin", name, "source", parsed.Artifact)
	return nil
}
