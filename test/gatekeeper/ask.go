// Package gatekeeper asks as Gatekeeper does, for tests and the demo.
package gatekeeper

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Answer is what Gatekeeper reads of one.
type Answer struct {
	Verdicts    map[string]bool            // by key: an image, or [namespace]image
	Reports     map[string]json.RawMessage // of the verifiers, by key
	SystemError string                     // about the keys that are missing
	Text        string                     // the whole
	Took        time.Duration
}

// Ask asks the server at url about keys. An item that says neither yes nor no is an error.
func Ask(ctx context.Context, client *http.Client, url string, keys ...string) (Answer, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": map[string]any{"keys": keys},
	})
	if err != nil {
		return Answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/ratify/gatekeeper/v1/verify", bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	start := time.Now()
	res, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		return Answer{}, err
	}
	var got struct {
		Response struct {
			Items []struct {
				Key   string `json:"key"`
				Error string `json:"error"`
				Value struct {
					IsSuccess       *bool           `json:"isSuccess"`
					VerifierReports json.RawMessage `json:"verifierReports"`
				} `json:"value"`
			} `json:"items"`
			SystemError string `json:"systemError"`
		} `json:"response"`
	}
	if err := json.Unmarshal(content, &got); err != nil {
		return Answer{}, fmt.Errorf("%w: %s", err, content)
	}
	a := Answer{Verdicts: map[string]bool{}, Reports: map[string]json.RawMessage{}, SystemError: got.Response.SystemError, Text: string(content), Took: time.Since(start)}
	for _, item := range got.Response.Items {
		if item.Error != "" || item.Value.IsSuccess == nil {
			return a, fmt.Errorf("the item about %s has the error %q and no verdict: %s", item.Key, item.Error, content)
		}
		a.Verdicts[item.Key] = *item.Value.IsSuccess
		a.Reports[item.Key] = item.Value.VerifierReports
	}
	return a, nil
}
