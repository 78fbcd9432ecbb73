package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// post asks as Gatekeeper does. An answer that does not admit all images is an error.
func (s *server) post(ctx context.Context, what string, keys ...string) ([]byte, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": map[string]any{"keys": keys},
	})
	if err != nil {
		return nil, err
	}
	return s.send(ctx, what, body)
}

func (s *server) send(ctx context.Context, what string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/ratify/gatekeeper/v1/"+what, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	return s.do(request, func(answer []byte) bool {
		for _, bad := range []string{`"isSuccess":false`, `"systemError":"`, `"error":"`} {
			if bytes.Contains(answer, []byte(bad)) {
				return false
			}
		}
		return what == "mutate" || bytes.Contains(answer, []byte(`"isSuccess":true`))
	})
}

func (s *server) get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return s.do(request, func([]byte) bool { return true })
}

func (s *server) do(request *http.Request, good func([]byte) bool) ([]byte, error) {
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || !good(answer)) {
		err = fmt.Errorf("%s: %s: %.1000s", request.URL.Path, response.Status, answer)
	}
	return answer, err
}

// ask returns how long a request took. One without a verdict that admits is counted, and has its time all the same.
func (s *server) ask(ctx context.Context, references ...string) (time.Duration, error) {
	start := time.Now()
	_, err := s.post(ctx, "verify", references...)
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	if err != nil {
		s.failed.Add(1)
	}
	return time.Since(start), nil
}

// askEach asks about images one after the other, and returns how long each took in ms.
func (s *server) askEach(ctx context.Context, images []image) (figures, error) {
	var took figures
	for _, i := range images {
		d, err := s.ask(ctx, i.reference())
		if err != nil {
			return nil, err
		}
		took = append(took, milliseconds(d))
	}
	return took, nil
}

// crowd is a number of clients who ask at the same time, the i-th about images[i%len(images)], over connections that they have already. It returns
// how long each waited in ms.
func (s *server) crowd(ctx context.Context, clients int, images []image) (figures, error) {
	if err := s.connect(ctx, clients); err != nil {
		return nil, err
	}
	took := make(figures, clients)
	errs := make([]error, clients)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			<-begin
			var d time.Duration
			d, errs[c] = s.ask(ctx, images[c%len(images)].reference())
			took[c] = milliseconds(d)
		})
	}
	close(begin)
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

// connect opens connections, which the client keeps: each sends the beginning of a request and waits for all the others.
func (s *server) connect(ctx context.Context, connections int) error {
	var open, closed sync.WaitGroup
	open.Add(connections)
	errs := make([]error, connections)
	for i := range connections {
		closed.Go(func() {
			body := &held{release: &open, Reader: strings.NewReader(`{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{}}`)}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/ratify/gatekeeper/v1/verify", body)
			if err == nil {
				_, err = s.do(request, func([]byte) bool { return true })
			}
			body.arrive() // or a failure keeps all others waiting
			errs[i] = err
		})
	}
	closed.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("open %d connections: %w", connections, err)
		}
	}
	return nil
}

// held is a body that is sent once all others are about to be.
type held struct {
	io.Reader
	release *sync.WaitGroup
	once    sync.Once
}

func (h *held) arrive() { h.once.Do(h.release.Done) }

func (h *held) Read(p []byte) (int, error) {
	h.arrive()
	h.release.Wait()
	return h.Reader.Read(p)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
