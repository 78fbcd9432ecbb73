package openapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// exchange is the HTTP client that one request of the SDK goes through. In place of the SDK's own one it bounds and checks the
// reply, follows no redirect, has deadlines, and does not share the trust of the first client that used a host.
type exchange struct {
	client    *http.Client
	service   string
	onRequest func(service string, status int)

	status int
	after  time.Duration
	body   []byte
	err    error
}

// Call implements dara.HttpClient.
func (x *exchange) Call(req *http.Request, _ *http.Transport) (*http.Response, error) {
	resp, err := x.client.Do(req)
	if err != nil {
		x.onRequest(x.service, 0)
		var outer *url.Error // its text repeats the URL
		if errors.As(err, &outer) {
			err = outer.Err
		}
		x.err = err
		return nil, err
	}
	defer resp.Body.Close()
	x.onRequest(x.service, resp.StatusCode)
	x.status, x.after = resp.StatusCode, retry.After(resp.Header, time.Now())
	if x.body, x.err = reply.Read(resp); x.err != nil {
		return nil, x.err
	}
	resp.Body = io.NopCloser(bytes.NewReader(x.body))
	resp.Header.Set("Content-Type", "application/json") // the SDK would read JSON as XML if that was announced
	return resp, nil
}
