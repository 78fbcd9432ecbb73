package main

import (
	"log/slog"
	"net/http"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/builtin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

// environment is what the parts of this binary have in common.
type environment struct {
	metrics *metrics.Metrics
	log     *slog.Logger
	// transport reaches registries and the cloud. It is http.DefaultTransport but in tests.
	transport *http.Transport
	// revocation is shared by the Notation verifiers of all configurations.
	revocation *revocation.Checker
}

func newEnvironment() environment {
	return environment{metrics: metrics.New(), log: slog.Default(), transport: http.DefaultTransport.(*http.Transport)}
}

// factories returns what this binary is made of.
func (e environment) factories() config.Factories {
	return builtin.Factories(builtin.Options{Transport: e.transport, UserAgent: "ratify-alibabacloud/" + version, Metrics: e.metrics, Log: e.log, Revocation: e.revocation})
}
