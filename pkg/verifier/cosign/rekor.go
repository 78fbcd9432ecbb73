package cosign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sigstore/rekor/pkg/generated/models"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
)

const (
	// logTimeout bounds one search in a transparency log with its repeats. It is about what Gatekeeper allows for a whole verification.
	logTimeout = 5 * time.Second

	// maxLogReply limits the answer of a transparency log. An entry with its proof of inclusion has about 10 KiB, and there is one in each of
	// the few parts (shards) that a log has.
	maxLogReply = 1 << 20
)

// transparencyLog is a Rekor, asked over its HTTP API (https://github.com/sigstore/rekor/blob/main/openapi.yaml).
type transparencyLog struct {
	url    string // of its search
	name   string // for messages
	client *http.Client
}

// newTransparencyLog returns the log at an address, the parameter in field. Empty means Sigstore's public one.
func newTransparencyLog(field, address string, o Options) (*transparencyLog, error) {
	if address == "" {
		address = defaultRekorURL
	}
	u, ok := parseURL(address)
	if !ok { // not quoted, it may hold a password
		return nil, parameter.Errorf(field, "is not a URL such as %s, without a user name", defaultRekorURL)
	}
	client := newClient(o.Transport)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // would become a GET
	return &transparencyLog{url: u.JoinPath("api/v1/log/entries/retrieve").String(), name: address, client: client}, nil
}

// logError is a transparency log's failure to answer.
type logError struct {
	log    string
	status int           // 0 if there was no answer
	after  time.Duration // what the log asks to wait
	err    error
}

func (e *logError) Error() string {
	return fmt.Sprintf("transparency log %s: %v; make it reachable from here, or have signatures carry its bundle", e.log, e.err)
}

func (e *logError) Unwrap() error { return e.err }

// Passing implements retry.Passing.
func (e *logError) Passing() (time.Duration, bool) {
	return e.after, e.status == 0 || e.status == http.StatusTooManyRequests || e.status >= http.StatusInternalServerError
}

// find returns the entries of a signature, made with the key in keyPEM, over payload; none if it is not in the log. What they say is not yet
// checked.
func (l *transparencyLog) find(ctx context.Context, payload, signature, keyPEM []byte) ([]models.LogEntryAnon, error) {
	hash := sha256.Sum256(payload)
	type object = map[string]any
	query, err := json.Marshal(object{"entries": []any{object{
		"kind": "hashedrekord", "apiVersion": "0.0.1",
		"spec": object{
			"data":      object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(hash[:])}},
			"signature": object{"content": signature, "publicKey": object{"content": keyPEM}},
		},
	}}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	return retry.Do(ctx, func(ctx context.Context) ([]models.LogEntryAnon, error) { return l.search(ctx, query) })
}

func (l *transparencyLog) search(ctx context.Context, query []byte) ([]models.LogEntryAnon, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	response, err := l.client.Do(request)
	if err != nil {
		return nil, &logError{log: l.name, err: err}
	}
	defer response.Body.Close()
	fail := func(err error) error {
		return &logError{log: l.name, status: response.StatusCode, after: retry.After(response.Header, time.Now()), err: err}
	}
	if response.StatusCode != http.StatusOK {
		return nil, fail(fmt.Errorf("it answered %s", response.Status))
	}
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxLogReply+1))
	if err != nil {
		return nil, &logError{log: l.name, err: err}
	}
	if len(reply) > maxLogReply {
		return nil, fail(fmt.Errorf("its answer has more than %d bytes", maxLogReply))
	}
	var found []map[string]models.LogEntryAnon
	if err := json.Unmarshal(reply, &found); err != nil {
		return nil, fail(fmt.Errorf("its answer cannot be read: %w", err))
	}
	if found == nil {
		return nil, fail(errors.New("its answer is not a list of entries"))
	}
	var entries []models.LogEntryAnon
	for _, byID := range found {
		for _, entry := range byID {
			entries = append(entries, entry)
		}
	}
	if len(found) > 0 && len(entries) == 0 {
		return nil, fail(errors.New("its answer lists entries without content"))
	}
	return entries, nil
}
