// Command alibabacloudnotation is an external verifier for a stock Ratify: it verifies Notation signatures with trust anchors from Alibaba Cloud
// KMS or from its configuration, and reads the registry with this module's store. Ratify runs it as its plugin; see docs/stock.md.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/verifier/config"
	verifierplugin "github.com/ratify-project/ratify/pkg/verifier/plugin"
	"github.com/ratify-project/ratify/pkg/verifier/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/protocol"
)

// verifierProtocol is how Ratify runs verifiers. 0.1.0 is the version of a configuration that names none; results have the fields of 1.0.0 and
// of 2.0.0-alpha.1.
var verifierProtocol = protocol.Protocol{
	CommandVariable: verifierplugin.CommandEnvKey, VersionVariable: verifierplugin.VersionEnvKey, SubjectVariable: verifierplugin.SubjectEnvKey,
	Versions: []string{"1.0.0", "2.0.0-alpha.1", types.SpecVersion},
}

func main() { os.Exit(verifierProtocol.Main(handle)) }

// handle answers one call.
func handle(ctx context.Context, call protocol.Call) ([]byte, error) {
	if call.Command != verifierplugin.VerifyCommand {
		return nil, plugin.NewError(types.ErrUnknownCommand, fmt.Sprintf("%s: unknown command %q", verifierplugin.CommandEnvKey, call.Command), "")
	}
	var input config.PluginInputConfig
	if err := json.Unmarshal(call.Input, &input); err != nil {
		return nil, plugin.NewError(types.ErrConfigParsingFailure, "the input on the standard input is no JSON object with config, storeConfig and referenceDesc",
			err.Error())
	}
	if name, ok := input.Config[types.Name].(string); !ok || name == "" {
		return nil, plugin.NewError(types.ErrInvalidVerifierConfig, "the configuration has no name of the verifier", "")
	}
	result, err := verify(ctx, input, call.Version, call.Subject)
	if err != nil {
		return nil, err
	}
	return protocol.Encode(result)
}
