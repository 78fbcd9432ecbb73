package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	executorconfig "github.com/ratify-project/ratify/pkg/executor/config"
	"github.com/ratify-project/ratify/pkg/homedir"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"
)

const (
	fileName   = "config.json"
	pluginsDir = "plugins"
	// maxFileBytes bounds config.json; a Kubernetes ConfigMap cannot be larger either.
	maxFileBytes = 1 << 20
)

// Config is the content of config.json.
type Config struct {
	Store                 storeconfig.StoresConfig               `json:"store"`
	Policy                policyconfig.PoliciesConfig            `json:"policy"`
	Verifier              verifierconfig.VerifiersConfig         `json:"verifier"`
	KeyManagementProvider kmpconfig.KeyManagementProvidersConfig `json:"keyManagementProvider"`
	Executor              executorconfig.ExecutorConfig          `json:"executor"`
	CRL                   CRL                                    `json:"crl"`
	Logger                Logger                                 `json:"logger"`
}

// CRL says how certificate revocation lists are kept. They always are in memory, until their nextUpdate.
type CRL struct {
	Cache struct {
		// Enabled keeps them on disk, too, in the directory crl of notation's cache ($XDG_CACHE_HOME/notation or ~/.cache/notation), as Ratify
		// does: what starts anew, such as the command ratify verify, then need not fetch them. It is read when the process starts.
		Enabled bool `json:"enabled"`
	} `json:"cache"`
}

// Logger says how the log looks.
type Logger struct {
	// Formatter is text (the default), json or logstash.
	Formatter string `json:"formatter"`
	// RequestHeaders names request headers that the log uses.
	RequestHeaders struct {
		// TraceIDHeaderName are the headers that may carry a trace id.
		TraceIDHeaderName HeaderNames `json:"traceIDHeaderName"`
	} `json:"requestHeaders"`
}

// HeaderNames are names of request headers: a list, or the text "[A B]" that Ratify's chart makes of one.
type HeaderNames []string

// UnmarshalJSON implements json.Unmarshaler.
func (h *HeaderNames) UnmarshalJSON(content []byte) error {
	var list []string
	if json.Unmarshal(content, &list) != nil {
		var text string
		if json.Unmarshal(content, &text) != nil {
			return fmt.Errorf("logger.requestHeaders.traceIDHeaderName is %s: it must be a list of header names", content)
		}
		list = strings.Fields(strings.Trim(text, "[]"))
	}
	*h = slices.DeleteFunc(list, func(name string) bool { return name == "" })
	return nil
}

// Dir returns Ratify's directory: RATIFY_CONFIG, or .ratify in the home directory.
func Dir() string {
	if dir := os.Getenv("RATIFY_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(homedir.Get(), ".ratify")
}

// Path returns the file to read: path itself, or config.json in Dir if it is empty.
func Path(path string) string {
	if path == "" {
		return filepath.Join(Dir(), fileName)
	}
	return path
}

// PluginDir returns the directory of external plugins that a configuration without pluginBinDirs uses.
func PluginDir() string {
	return filepath.Join(Dir(), pluginsDir)
}

// Load reads a configuration file.
func Load(path string, log *slog.Logger) (*Config, error) {
	content, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return Parse(path, content, log)
}

// Parse reads the content of a configuration file; name is used in errors. A field it does not know is logged: Ratify ignores
// those, so that a file that worked there works here, but a misspelt one should not go unnoticed.
func Parse(name string, content []byte, log *slog.Logger) (*Config, error) {
	var c Config
	if err := json.Unmarshal(content, &c); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", name, explain(err, content))
	}
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", name, err)
	}
	if unknown := unknownField(content); unknown != "" {
		log.Warn("the configuration has a field that means nothing", "path", name, "problem", unknown)
	}
	return &c, nil
}

func (c *Config) validate() error {
	for field, timeout := range map[string]*int{
		"executor.verificationRequestTimeout": c.Executor.VerificationRequestTimeout,
		"executor.mutationRequestTimeout":     c.Executor.MutationRequestTimeout,
	} {
		if timeout != nil && *timeout <= 0 {
			return fmt.Errorf("%s is %d: it must be a positive number of milliseconds", field, *timeout)
		}
	}
	switch c.Logger.Formatter {
	case "", "text", "json", "logstash":
	default:
		return fmt.Errorf("logger.formatter is %q: it must be text, json or logstash", c.Logger.Formatter)
	}
	return nil
}

// milliseconds returns a timeout of the executor's configuration, zero if it is not set.
func milliseconds(timeout *int) time.Duration {
	if timeout == nil {
		return 0
	}
	return time.Duration(*timeout) * time.Millisecond
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFileBytes)
	}
	return content, nil
}

// explain adds where in the file the JSON is wrong.
func explain(err error, content []byte) error {
	var offset int64
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	} else if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = kind.Offset
	} else {
		return err
	}
	line := 1 + bytes.Count(content[:min(offset, int64(len(content)))], []byte("\n"))
	return fmt.Errorf("line %d: %w", line, err)
}

// unknownField returns the first field of the file that Config does not have, as encoding/json words it, or "".
func unknownField(content []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&Config{}); err != nil {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	return ""
}
