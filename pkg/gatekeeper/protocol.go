package gatekeeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"
)

const (
	// maxRequestBytes bounds a request's body: maxKeys references of ordinary length are a tenth of it.
	maxRequestBytes = 1 << 20
	// maxKeys bounds the images of one request. Gatekeeper sends the images of one object; a pod with 1,000 containers does
	// not fit into etcd.
	maxKeys = 1000

	apiGroup       = "externaldata.gatekeeper.sh/"
	defaultVersion = apiGroup + "v1beta1"
)

// The types below are those of github.com/open-policy-agent/frameworks/constraint/pkg/externaldata, which would bring all of OPA
// with them. A test holds them together.

type request struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Request    struct {
		Keys []string `json:"keys,omitempty"`
	} `json:"request"`
}

type response struct {
	APIVersion string       `json:"apiVersion,omitempty"`
	Kind       string       `json:"kind,omitempty"`
	Response   responseBody `json:"response"`
}

type responseBody struct {
	Idempotent  bool   `json:"idempotent,omitempty"`
	Items       []item `json:"items,omitempty"`
	SystemError string `json:"systemError,omitempty"`
}

type item struct {
	Key   string `json:"key,omitempty"`
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

// result is the value of a verify item, in the form that constraint templates written for Ratify read. isSuccess is always there:
// a template may take an answer without it for a success.
type result struct {
	Version         string `json:"version"`
	IsSuccess       bool   `json:"isSuccess"`
	TraceID         string `json:"traceID,omitempty"`
	Timestamp       string `json:"timestamp,omitempty"`
	VerifierReports []any  `json:"verifierReports,omitempty"`
}

// resultVersion returns the version of the report's form for a type of policy.
func resultVersion(policyType string) string {
	if policyType == policytypes.RegoPolicy {
		return "1.1.0"
	}
	return "0.2.0"
}

// readRequest reads and checks a request's body. Keys that repeat are returned once.
func readRequest(w http.ResponseWriter, r *http.Request) (request, error) {
	var req request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err := decoder.Decode(&req); err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return request{APIVersion: defaultVersion}, fmt.Errorf("the request's body is larger than %d bytes", tooLarge.Limit)
		}
		return request{APIVersion: defaultVersion}, fmt.Errorf("the request's body is not a ProviderRequest: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return request{APIVersion: defaultVersion}, errors.New("the request's body has more after the ProviderRequest")
	}
	switch req.APIVersion {
	case "":
		req.APIVersion = defaultVersion
	case apiGroup + "v1beta1", apiGroup + "v1alpha1":
	default:
		err := fmt.Errorf("apiVersion %q is not supported; use %sv1beta1 or %sv1alpha1", req.APIVersion, apiGroup, apiGroup)
		return request{APIVersion: defaultVersion}, err
	}
	if req.Kind != "" && req.Kind != "ProviderRequest" {
		return req, fmt.Errorf("kind %q is not supported; it must be ProviderRequest", req.Kind)
	}
	if len(req.Request.Keys) > maxKeys {
		return req, fmt.Errorf("request.keys has %d entries; at most %d are allowed", len(req.Request.Keys), maxKeys)
	}
	req.Request.Keys = distinct(req.Request.Keys)
	return req, nil
}

// distinct returns the keys in their order, each once.
func distinct(keys []string) []string {
	seen := make(map[string]bool, len(keys))
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		again := seen[key]
		seen[key] = true
		return again
	})
}
