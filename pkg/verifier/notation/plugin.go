package notation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/notaryproject/notation-go/plugin"
	framework "github.com/notaryproject/notation-plugin-framework-go/plugin"
)

// pluginTimeout bounds one run of a plugin: Gatekeeper grants a whole verification a few seconds.
const pluginTimeout = 10 * time.Second

// pluginName is what a verification plugin may be called. The name comes from the signature, before it is known whose that is, and becomes
// part of a path.
var pluginName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$`)

// pluginManager finds the verification plugins that signatures ask for: executables named notation-<plugin> in directory, as with Ratify.
type pluginManager struct{ directory string }

// Get returns the plugin. That it is not installed is a fact by which a signature is refused; that it could not be looked at is not.
func (m pluginManager) Get(ctx context.Context, name string) (framework.Plugin, error) {
	if !pluginName.MatchString(name) {
		return nil, fmt.Errorf("%q is not the name of a plugin", name)
	}
	if m.directory == "" {
		return nil, errors.New("there is no directory for plugins")
	}
	path := filepath.Join(m.directory, "notation-"+name)
	found, err := plugin.NewCLIPlugin(ctx, name, path)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, plugin.ErrNotRegularFile) {
			witnessOf(ctx).plugin = err
		}
		return nil, err
	}
	return witnessedPlugin{found}, nil
}

// List is not needed for verification.
func (m pluginManager) List(context.Context) ([]string, error) { return nil, errors.ErrUnsupported }

// witnessedPlugin tells the witness of the verification about runs that failed, as opposed to runs that said no.
type witnessedPlugin struct{ framework.Plugin }

func (p witnessedPlugin) GetMetadata(ctx context.Context, r *framework.GetMetadataRequest) (*framework.GetMetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, pluginTimeout)
	defer cancel()
	response, err := p.Plugin.GetMetadata(ctx, r)
	witnessOf(ctx).plugin = err
	return response, err
}

func (p witnessedPlugin) VerifySignature(ctx context.Context, r *framework.VerifySignatureRequest) (*framework.VerifySignatureResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, pluginTimeout)
	defer cancel()
	response, err := p.Plugin.VerifySignature(ctx, r)
	w := witnessOf(ctx)
	if w.plugin = err; err == nil {
		w.processed = response.ProcessedAttributes
	}
	return response, err
}
