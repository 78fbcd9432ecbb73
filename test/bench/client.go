package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// question is a request as it is sent: over HTTP/1.1 with a body of known length, as Gatekeeper sends it.
type question struct {
	what string // verify or mutate
	sent []byte
}

// question asks about images by their keys.
func (s *server) question(what string, keys ...string) (question, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": map[string]any{"keys": keys},
	})
	if err != nil {
		return question{}, err
	}
	request, err := http.NewRequest(http.MethodPost, s.url+"/ratify/gatekeeper/v1/"+what, bytes.NewReader(body))
	if err != nil {
		return question{}, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept-Encoding", "gzip")
	var sent bytes.Buffer
	err = request.Write(&sent)
	return question{what, sent.Bytes()}, err
}

// good says whether an answer admits all images.
func (q question) good(answer []byte) bool {
	for _, bad := range []string{`"isSuccess":false`, `"systemError":"`, `"error":"`} {
		if bytes.Contains(answer, []byte(bad)) {
			return false
		}
	}
	return q.what == "mutate" || bytes.Contains(answer, []byte(`"isSuccess":true`))
}

// line is a connection to a server. The clients are on the cores that they measure: a line does no more than write and read, in the goroutine of its
// client, where net/http would have two more.
type line struct {
	conn   net.Conn
	in     *bufio.Reader
	answer bytes.Buffer
}

func (s *server) dial(ctx context.Context) (*line, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	if s.tls != nil {
		secure := tls.Client(conn, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	return &line{conn: conn, in: bufio.NewReader(conn)}, nil
}

// ask returns the answer, which is good until the next one. After an error the line is of no more use.
func (l *line) ask(q question) (status int, answer []byte, err error) {
	if err := l.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, nil, err
	}
	if _, err := l.conn.Write(q.sent); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return 0, nil, err
	}
	l.answer.Reset()
	if _, err := l.answer.ReadFrom(response.Body); err != nil {
		return 0, nil, err
	}
	return response.StatusCode, l.answer.Bytes(), response.Body.Close()
}

// line returns one that nobody uses, and whether it was used before.
func (s *server) line(ctx context.Context) (*line, bool, error) {
	s.mu.Lock()
	var l *line
	if last := len(s.idle) - 1; last >= 0 {
		l, s.idle = s.idle[last], s.idle[:last]
	}
	s.mu.Unlock()
	if l != nil {
		return l, true, nil
	}
	l, err := s.dial(ctx)
	return l, false, err
}

// send asks over any line, and returns the answer. One that does not admit all images is an error, too.
func (s *server) send(ctx context.Context, q question) ([]byte, error) {
	for {
		l, used, err := s.line(ctx)
		if err != nil {
			return nil, err
		}
		status, answer, err := l.ask(q)
		if err != nil {
			_ = l.conn.Close()
			if used && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) {
				continue // the server had ended what was idle
			}
			return nil, fmt.Errorf("%s: %w", q.what, err)
		}
		if status != http.StatusOK || !q.good(answer) {
			err = fmt.Errorf("%s: status %d: %.1000s", q.what, status, answer)
		}
		answer = bytes.Clone(answer)
		s.mu.Lock()
		s.idle = append(s.idle, l)
		s.mu.Unlock()
		return answer, err
	}
}

// verify returns how long a request took. One without a verdict that admits is counted, and has its time all the same.
func (s *server) verify(ctx context.Context, q question) (time.Duration, error) {
	start := time.Now()
	_, err := s.send(ctx, q)
	took := time.Since(start)
	if err != nil && ctx.Err() != nil {
		return 0, err
	}
	if err != nil {
		s.failed.Add(1)
	}
	return took, nil
}

// ask is verify of images by their references.
func (s *server) ask(ctx context.Context, references ...string) (time.Duration, error) {
	q, err := s.question("verify", references...)
	if err != nil {
		return 0, err
	}
	return s.verify(ctx, q)
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
	questions := make([]question, len(images))
	for i, image := range images {
		var err error
		if questions[i], err = s.question("verify", image.reference()); err != nil {
			return nil, err
		}
	}
	took := make(figures, clients)
	errs := make([]error, clients)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			<-begin
			var d time.Duration
			d, errs[c] = s.verify(ctx, questions[c%len(questions)])
			took[c] = milliseconds(d)
		})
	}
	close(begin)
	all.Wait()
	return took, cmp.Or(errs...)
}

// connect opens lines until there are some that nobody uses. Each has been asked over once, as those that Gatekeeper keeps.
func (s *server) connect(ctx context.Context, lines int) error {
	nothing, err := s.question("verify")
	if err != nil {
		return err
	}
	for len(s.idle) < lines {
		l, err := s.dial(ctx)
		if err == nil {
			_, _, err = l.ask(nothing)
		}
		if err != nil {
			return fmt.Errorf("open %d connections: %w", lines, err)
		}
		s.idle = append(s.idle, l)
	}
	return nil
}

// get reads what is neither verified nor mutated: whether the server is ready, and its metrics.
func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, response.Status)
	}
	return answer, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
