// Command alibabacloudacr is an external store for a stock Ratify: it reads signatures from Alibaba Cloud Container Registry with the pod's own
// identity. Ratify runs it as its plugin; see docs/stock.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/referrerstore/config"
	storeplugin "github.com/ratify-project/ratify/pkg/referrerstore/plugin"
	"github.com/ratify-project/ratify/pkg/referrerstore/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/protocol"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/store"
)

// storeProtocol is how Ratify runs stores. 0.1.0 is the version of a configuration that names none.
var storeProtocol = protocol.Protocol{
	CommandVariable: storeplugin.CommandEnvKey, VersionVariable: storeplugin.VersionEnvKey,
	SubjectVariable: storeplugin.SubjectEnvKey, ArgsVariable: storeplugin.ArgsEnvKey,
	Versions: []string{"1.0.0", types.SpecVersion},
}

func main() { os.Exit(storeProtocol.Main(handle)) }

// handle answers one call.
func handle(ctx context.Context, call protocol.Call) ([]byte, error) {
	command, ok := commands[call.Command]
	if !ok {
		return nil, plugin.NewError(types.ErrUnknownCommand, fmt.Sprintf("%s: unknown command %q", storeplugin.CommandEnvKey, call.Command), "")
	}
	args, err := command.parse(call.Args)
	if err != nil {
		return nil, plugin.NewError(types.ErrArgsParsingFailure, fmt.Sprintf("%s of %s: %v", storeplugin.ArgsEnvKey, call.Command, err), "")
	}
	var cfg config.StorePluginConfig
	if err := json.Unmarshal(call.Input, &cfg); err != nil {
		return nil, plugin.NewError(types.ErrConfigParsingFailure, "the configuration on the standard input is no JSON object", err.Error())
	}
	if name, ok := cfg[types.Name].(string); !ok || name == "" {
		return nil, plugin.NewError(types.ErrInvalidStoreConfig, "the configuration has no name of the store", "")
	}
	cache, err := store.OpenCache(cfg)
	if err != nil {
		return nil, plugin.NewError(types.ErrInvalidStoreConfig, "the store cannot be configured", err.Error())
	}
	opened, err := store.Open(cfg, call.Version, cache)
	if err != nil {
		return nil, plugin.NewError(types.ErrInvalidStoreConfig, "the store cannot be configured", err.Error())
	}
	return command.run(ctx, opened, call.Subject, args)
}
