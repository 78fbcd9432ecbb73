package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// probeInterval is the time between two attempts of a probe with each of its images.
const probeInterval = 200 * time.Millisecond

// probe asks for pods with a good image and with a bad one, again and again, while something happens to the installation. It asks the API
// server itself: kubectl would take most of a small machine's time.
type probe struct {
	e         *environment
	client    *http.Client
	cancel    context.CancelFunc
	running   sync.WaitGroup
	good, bad string // images

	mu          sync.Mutex
	attempts    int           // with the good image
	failures    []string      // of them: why
	failedSince time.Time     // zero: the last attempt was right
	longest     time.Duration // without admitting the good image
	slips       []string      // when the bad image was admitted
}

func (e *environment) startProbe(ctx context.Context, good, bad string) (*probe, error) {
	file := func(name string) string { return filepath.Join(filepath.Dir(e.cluster.Kubeconfig()), name) }
	pair, err := tls.LoadX509KeyPair(file("admin.crt"), file("admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(file("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	p := &probe{e: e, good: good, bad: bad, client: &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}}}
	ctx, p.cancel = context.WithCancel(ctx)
	p.running.Go(func() { p.repeat(ctx, p.tryGood) })
	p.running.Go(func() { p.repeat(ctx, p.tryBad) })
	return p, nil
}

func (p *probe) repeat(ctx context.Context, try func(context.Context)) {
	again := time.NewTicker(probeInterval)
	defer again.Stop()
	for {
		try(ctx)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

func (p *probe) tryGood(ctx context.Context) {
	began := time.Now()
	admitted, why := p.try(ctx, p.good)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.attempts++
	switch {
	case !admitted:
		p.failures = append(p.failures, why)
		if p.failedSince.IsZero() {
			p.failedSince = began
		}
		p.longest = max(p.longest, time.Since(p.failedSince))
	default:
		if !p.failedSince.IsZero() {
			p.longest = max(p.longest, time.Since(p.failedSince))
		}
		p.failedSince = time.Time{}
	}
}

func (p *probe) tryBad(ctx context.Context) {
	if admitted, _ := p.try(ctx, p.bad); admitted {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.slips = append(p.slips, time.Now().Format(time.TimeOnly))
	}
}

// try asks for a pod without making one.
func (p *probe) try(ctx context.Context, image string) (admitted bool, why string) {
	body, err := json.Marshal(object{
		"apiVersion": "v1", "kind": "Pod", "metadata": object{"generateName": "probe-"},
		"spec": object{"containers": []object{{"name": "c", "image": image}}},
	})
	if err != nil {
		return false, err.Error()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.e.cluster.Server()+"/api/v1/namespaces/default/pods?dryRun=All", bytes.NewReader(body))
	if err != nil {
		return false, err.Error()
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return false, err.Error()
	}
	return response.StatusCode == http.StatusCreated, response.Status + ": " + string(answer)
}

// afterwards is how many attempts a probe goes on for: for some seconds, in which nothing may come late.
const afterwards = 15

// stop ends the probe, a few attempts later. It is an error if the bad image was ever admitted, or if the good one was not for longer than a time.
func (p *probe) stop(atMost time.Duration) error {
	made := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.attempts
	}
	enough := made() + afterwards
	slow := eventually(context.Background(), time.Minute, func(context.Context) error {
		if made() < enough {
			return errors.New("attempts do not come to an end")
		}
		return nil
	})
	p.cancel()
	p.running.Wait()
	p.client.CloseIdleConnections()
	switch {
	case slow != nil:
		return slow
	case len(p.slips) > 0:
		return fmt.Errorf("%s was admitted at %s", p.bad, strings.Join(p.slips, ", "))
	case p.longest > atMost:
		return fmt.Errorf("%s was not admitted for %.1f s (%d of %d attempts): %s", p.good, p.longest.Seconds(), len(p.failures), p.attempts, p.failures[len(p.failures)-1])
	}
	p.e.say("%d attempts with the good image, of which %d failed, for %.1f s at a time at most", p.attempts, len(p.failures), p.longest.Seconds())
	return nil
}
