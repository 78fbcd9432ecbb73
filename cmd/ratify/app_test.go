package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// A configuration whose plugins cannot be downloaded is tried again ever more seldom: the others that it has are downloaded each time.
func TestPendingDownloadsAreTriedEverMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, tries := slog.New(slog.DiscardHandler), 0
		store := func(context.Context, storeconfig.StorePluginConfig, config.StoreInput) (referrerstore.ReferrerStore, error) {
			tries++
			return nil, fmt.Errorf("plugin %w: the registry is away", config.ErrDownload)
		}
		a := &app{
			environment: environment{metrics: metrics.New(), log: log}, engine: verification.NewEngine(verification.Options{}), loaded: make(chan struct{}, 1),
			builder: &config.Builder{Factories: config.Factories{Stores: map[string]config.StoreFactory{"oras": store}}, Log: log},
		}
		c := &config.Config{}
		c.Store.Stores = []storeconfig.StorePluginConfig{{"name": "oras"}}
		for _, edited := range []bool{false, true} {
			begin, at := time.Now(), ""
			if err := a.load(t.Context(), c, nil); !errors.Is(err, config.ErrDownload) {
				t.Fatal(err)
			}
			tries = 0
			for range 7 {
				time.Sleep(time.Until(a.due()))
				at += fmt.Sprint(" ", time.Since(begin))
				a.refreshed(t.Context(), false)
			}
			if at != " 30s 1m30s 3m30s 7m30s 15m30s 25m30s 35m30s" || tries != 7 {
				t.Errorf("edited %t: %d tries, at%s", edited, tries, at)
			}
		}
	})
}
