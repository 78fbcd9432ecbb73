package commands

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// target is the flags that say which key a command is about, and how KMS is asked.
type target struct {
	id           string
	pluginConfig []string
}

func (t *target) addTo(cmd *cobra.Command, idUsage string) {
	cmd.Flags().StringVar(&t.id, "id", "", "ID, ARN or alias of the KMS `key` "+idUsage)
	cmd.Flags().StringArrayVar(&t.pluginConfig, "plugin-config", nil, "`key=value` as of notation sign, such as region=cn-shanghai; repeatable")
}

// config returns what --plugin-config says.
func (t *target) config() (map[string]string, error) {
	config := make(map[string]string)
	for _, pair := range t.pluginConfig {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("--plugin-config %s: want key=value", pair)
		}
		if _, twice := config[key]; twice {
			return nil, fmt.Errorf("--plugin-config %s: the key is given twice", key)
		}
		config[key] = value
	}
	return config, nil
}

// session is a command's way to KMS.
type session struct {
	*settings.Settings
	client kms.Client
	id     string
}

// open returns the session, and a context that ends when the command has to.
func (t *target) open(ctx context.Context) (context.Context, context.CancelFunc, *session, error) {
	config, err := t.config()
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := settings.Parse(config)
	if err != nil {
		return nil, nil, nil, err
	}
	client, err := s.Client()
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	return ctx, cancel, &session{s, client, t.id}, nil
}

// signer returns a signer with a version of the key, the newest if that is empty, which can make Notation signatures.
func (s *session) signer(ctx context.Context, version string) (*kms.Signer, error) {
	signer, err := kms.NewSigner(ctx, s.client, s.id, version)
	if err != nil {
		return nil, err
	}
	if _, err := signer.PublicKey().Spec.NotationAlgorithm(); err != nil {
		return nil, fmt.Errorf("key %s: %w", s.id, err)
	}
	return signer, nil
}
