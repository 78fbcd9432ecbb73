package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

const (
	// asks is how often each way is asked about the same image.
	asks = 15
	// roundTrip is the latency of each request in the second measurement.
	roundTrip = 20 * time.Millisecond
)

// cost measures what a request costs that no cache of verdicts answers.
func (e *environment) cost(ctx context.Context) error {
	fmt.Printf("\n%-32s%6s%6s%6s%7s%10s%10s%14s\n", "one signature, asked again", "STS", "CR", "KMS", "token", "registry", "ms", "ms at 20 ms")
	cached, _, remove, err := e.cached(both)
	if err != nil {
		return err
	}
	defer remove()
	cachedKMS := cached
	cachedKMS.name, cachedKMS.kms = bothKMS.name+", tokenCache", true
	for _, w := range []way{ours, oursKMS, alone, onStore, onVerify, both, bothKMS, cached, cachedKMS} {
		if err := e.measure(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return nil
}

func (e *environment) measure(ctx context.Context, w way) error {
	cloud, reference := e.world.Cloud, e.world.find("demo, signed, chain, JWS").reference
	s, err := e.serve(ctx, w)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	median := func() (time.Duration, error) {
		var took []time.Duration
		for range asks {
			start := time.Now()
			admitted, text, err := s.ask(ctx, reference)
			if err != nil {
				return 0, err
			}
			if !admitted {
				return 0, fmt.Errorf("not admitted: %s", text)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		return took[asks/2], nil
	}
	if err := s.ready(ctx, reference); err != nil {
		return err
	}
	cloud.ResetCalls()
	near, err := median()
	if err != nil {
		return err
	}
	calls := perAsk(cloud)
	for _, host := range []string{"sts.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com", "kms.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com",
		scenario.Demo.Host} {
		cloud.Endpoint(host).SetLatency(roundTrip)
		defer cloud.Endpoint(host).SetLatency(0)
	}
	far, err := median()
	if err != nil {
		return err
	}
	fmt.Printf("%-32s%6s%6s%6s%7s%10s%10d%14d\n", w.name, calls[sts], calls[cr], calls[kms], calls[token], calls[registry], near.Milliseconds(), far.Milliseconds())
	return nil
}

// The services of the cloud.
const (
	sts = iota
	cr
	kms
	token
	registry
	services
)

// perAsk returns the calls to each service, divided by the number of asks.
func perAsk(cloud *emulator.Cloud) (calls [services]string) {
	for service, n := range count(cloud) {
		calls[service] = strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/asks), ".0")
	}
	return calls
}

// count returns the calls to each service.
func count(cloud *emulator.Cloud) (calls [services]int) {
	for key, n := range cloud.Calls() {
		host, _, _ := strings.Cut(key, " ")
		service := registry
		switch {
		case strings.HasPrefix(host, "sts"):
			service = sts
		case strings.HasPrefix(host, "cr."):
			service = cr
		case strings.HasPrefix(host, "kms."):
			service = kms
		case strings.HasPrefix(host, "dockerauth"):
			service = token
		}
		calls[service] += n
	}
	return calls
}
