package gatekeeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

const (
	// maxRequestBytes bounds a request's body: maxKeys references of ordinary length are a tenth of it.
	maxRequestBytes = 1 << 20
	// maxKeys bounds the images of one request. Gatekeeper sends the images of one object; a pod with 1,000 containers does
	// not fit into etcd.
	maxKeys = 1000

	apiGroup       = "externaldata.gatekeeper.sh/"
	defaultVersion = apiGroup + "v1beta1"
	requestKind    = "ProviderRequest"
)

// A request and the answer below have the form of github.com/open-policy-agent/frameworks/constraint/pkg/externaldata, which would bring all of
// OPA with it. Tests hold them together.

type request struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Request    struct {
		Keys []string `json:"keys,omitempty"`
	} `json:"request"`
}

// response is the answer to a request.
type response struct {
	apiVersion string
	idempotent bool
	// traceID and now are told with each verdict.
	traceID     string
	now         time.Time
	items       []item
	systemError string
}

// item is the answer about one key.
type item struct {
	key     string
	verdict *verification.Verdict // to a verify request
	image   string                // to a mutate request: what to use instead
	err     string                // why it is not pinned; empty: it is
}

// json returns the response as it is sent. The reports, which are most of it, are JSON already.
func (r *response) json() []byte {
	size := 160 + len(r.systemError) // enough but for long trace ids and what needs escapes
	for _, i := range r.items {
		size += 192 + len(i.key) + len(i.image) + len(i.err)
		if i.verdict != nil {
			for _, report := range i.verdict.Reports {
				size += len(report) + 1
			}
		}
	}
	b := append(make([]byte, 0, size), `{"apiVersion":`...)
	b = appendString(b, r.apiVersion)
	b = append(b, `,"kind":"ProviderResponse","response":{"idempotent":`...)
	b = strconv.AppendBool(b, r.idempotent)
	if len(r.items) > 0 {
		b = append(b, `,"items":[`...)
		for n, i := range r.items {
			if n > 0 {
				b = append(b, ',')
			}
			b = r.appendItem(b, i)
		}
		b = append(b, ']')
	}
	if r.systemError != "" {
		b = appendString(append(b, `,"systemError":`...), r.systemError)
	}
	return append(b, "}}\n"...)
}

func (r *response) appendItem(b []byte, i item) []byte {
	b = appendString(append(b, `{"key":`...), i.key)
	b = append(b, `,"value":`...)
	if i.verdict != nil {
		b = r.appendVerdict(b, i.verdict)
	} else {
		b = appendString(b, i.image)
	}
	if i.err != "" {
		b = appendString(append(b, `,"error":`...), i.err)
	}
	return append(b, '}')
}

// appendVerdict writes a verdict in the form that constraint templates written for Ratify read. isSuccess is always there: a template may take an
// answer without it for a success.
func (r *response) appendVerdict(b []byte, v *verification.Verdict) []byte {
	b = appendString(append(b, `{"version":`...), resultVersion(v.PolicyType))
	b = strconv.AppendBool(append(b, `,"isSuccess":`...), v.Outcome == verification.Verified)
	b = appendString(append(b, `,"traceID":`...), r.traceID)
	b = append(b, `,"timestamp":"`...)
	b = append(r.now.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	if len(v.Reports) > 0 {
		b = append(b, `,"verifierReports":[`...)
		for n, report := range v.Reports {
			if n > 0 {
				b = append(b, ',')
			}
			b = append(b, report...)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendString writes s as a JSON string.
func appendString(b []byte, s string) []byte {
	for n := range len(s) {
		if escaped(s[n]) {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string can be written
			}
			return append(b, quoted...)
		}
	}
	b = append(append(b, '"'), s...)
	return append(b, '"')
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
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBytes))
	if err == nil && !req.unmarshalUsual(body) {
		err = json.Unmarshal(body, &req)
	}
	if err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return request{APIVersion: defaultVersion}, fmt.Errorf("the request's body is larger than %d bytes", tooLarge.Limit)
		}
		return request{APIVersion: defaultVersion}, fmt.Errorf("the request's body is not a ProviderRequest: %w", err)
	}
	switch req.APIVersion {
	case "":
		req.APIVersion = defaultVersion
	case apiGroup + "v1beta1", apiGroup + "v1alpha1":
	default:
		err := fmt.Errorf("apiVersion %q is not supported; use %sv1beta1 or %sv1alpha1", req.APIVersion, apiGroup, apiGroup)
		return request{APIVersion: defaultVersion}, err
	}
	if req.Kind != "" && req.Kind != requestKind {
		return req, fmt.Errorf("kind %q is not supported; it must be %s", req.Kind, requestKind)
	}
	if len(req.Request.Keys) > maxKeys {
		return req, fmt.Errorf("request.keys has %d entries; at most %d are allowed", len(req.Request.Keys), maxKeys)
	}
	req.Request.Keys = distinct(req.Request.Keys)
	return req, nil
}

// usual is how Gatekeeper's requests begin and end: its keys are what is between the quotes.
const (
	usualBegin = `{"apiVersion":"` + defaultVersion + `","kind":"` + requestKind + `","request":{"keys":["`
	usualEnd   = `"]}}`
)

// unmarshalUsual reads a body of the form that Gatekeeper's encoder gives it, with one key that needs no escapes: what most are, and most of the
// time that an answer takes would go into reading it in general. It returns false for all others.
func (r *request) unmarshalUsual(body []byte) bool {
	key, begins := bytes.CutPrefix(body, []byte(usualBegin))
	key, ends := bytes.CutSuffix(key, []byte(usualEnd))
	if !begins || !ends || slices.ContainsFunc(key, escaped) {
		return false
	}
	r.APIVersion, r.Kind, r.Request.Keys = defaultVersion, requestKind, []string{string(key)}
	return true
}

// escaped reports whether a byte stands for something else, or must not be, in a JSON string, or is a part of a character.
func escaped(c byte) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }

// distinct returns the keys in their order, each once.
func distinct(keys []string) []string {
	if len(keys) < 2 {
		return keys
	}
	seen := make(map[string]bool, len(keys))
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		again := seen[key]
		seen[key] = true
		return again
	})
}
