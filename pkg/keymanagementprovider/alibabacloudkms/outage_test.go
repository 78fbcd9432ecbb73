package alibabacloudkms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	apikms "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// What cannot be read is an error at first; later what was read last stays in use, and it is told since when and why.
func TestOutage(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-one", Spec: "EC_P256"})
	cloud.KMS().PutSecret("signer", root(t, "root").PEM())
	const parameters = `{"certificates": [{"secretName": "signer"}], "keys": [{"keyId": "key-one"}], "timeout": "2s"}`
	later := http.Header{"Retry-After": {"60"}} // beyond the timeout: no repeats
	for name, test := range map[string]struct {
		fault emulator.Fault
		deny  bool
		want  []string
	}{
		"throttled": {fault: emulator.Fault{Status: 429, Body: `{"Code":"Throttling.User","Message":"denied","RequestId":"R-1"}`, Header: later},
			want: []string{"Throttling.User", "RequestId R-1"}},
		"throttled, as if it were a state": {fault: emulator.Fault{Status: 409, Body: `{"Code":"Rejected.Throttling","Message":"denied"}`, Header: later},
			want: []string{"Rejected.Throttling"}},
		"unavailable": {fault: emulator.Fault{Status: 503, Body: `{"Code":"ServiceUnavailableTemporary","Message":"busy"}`, Header: later},
			want: []string{"ServiceUnavailableTemporary", "try again"}},
		"a page":  {fault: emulator.Fault{Status: 200, Body: `<html>`}, want: []string{"not a JSON object"}},
		"nothing": {fault: emulator.Fault{Status: 200, Body: `{}`}, want: []string{"the reply"}},
		"reset":   {fault: emulator.Fault{Reset: true}, want: []string{"check the network"}},
		"denied":  {deny: true, want: []string{"Forbidden.NoPermission", "needs a RAM policy that allows kms:"}},
	} {
		t.Run(name, func(t *testing.T) {
			begin, end := func() { cloud.Endpoint(gateway).SetFault(test.fault) }, func() { cloud.Endpoint(gateway).SetFault(emulator.Fault{}) }
			if test.deny {
				begin, end = func() { cloud.KMS().Deny("GetSecretValue", "GetPublicKey") }, func() { cloud.KMS().Deny() }
			}
			defer end()
			late, _ := newProvider(t, cloud, parameters)
			p, clock := newProvider(t, cloud, parameters)
			before := good(t, p)

			begin()
			if r := refreshed(t.Context(), t, late); r.err == nil || errors.Is(r.err, keymaterial.ErrGone) {
				t.Fatalf("never read: %v", r.err)
			} else {
				says(t, r.err.Error(), append(test.want, "certificates[0] (secret signer, version ACSCurrent)", gateway)...)
			}
			clock.Advance(time.Minute)
			since := clock.Now()
			for range 2 { // it counts from the first failure
				r := good(t, p)
				if len(r.certificates) != 1 || len(r.keys) != 1 {
					t.Fatalf("%d certificates, %d keys", len(r.certificates), len(r.keys))
				}
				says(t, r.status, `"Degraded":{"Error":"`, `"Since":"`+since.UTC().Format(time.RFC3339)+`"`, `"Enabled":"true"`,
					`"LastRefreshed":"`+since.Add(-time.Minute).UTC().Format(time.RFC3339)+`"`)
				at, err := p.Degraded()
				if !at.Equal(since) || err == nil {
					t.Fatalf("degraded since %s, want %s: %v", at, since, err)
				}
				says(t, err.Error(), append(test.want, "certificates[0]", "keys[0] (key key-one)")...)
				clock.Advance(time.Minute)
			}
			end()
			after := good(t, p)
			if at, err := p.Degraded(); err != nil || !at.IsZero() || strings.Contains(after.status, "Degraded") || len(after.keys) != len(before.keys) {
				t.Errorf("recovered, but degraded since %s: %v", at, err)
			}
			good(t, late)
		})
	}
}

// One entry that was never read is an error even if the others are fine, and names it. What was dropped before an outage stays dropped.
func TestPartialOutage(t *testing.T) {
	cloud := startCloud(t)
	a := cloud.KMS().PutSecret("a", root(t, "a").PEM())
	cloud.KMS().PutSecret("b", root(t, "b").PEM())
	p, _ := newProvider(t, cloud, `{"certificates": [{"secretName": "a"}, {"secretName": "b"}]}`)
	down := emulator.Fault{Status: 503, Body: `{"Code":"InternalFailure"}`,
		Match: func(r *http.Request) bool { return r.URL.Query().Get("SecretName") == "b" }}
	cloud.Endpoint(gateway).SetFault(down)
	r := refreshed(t.Context(), t, p)
	if r.err == nil || strings.Contains(r.err.Error(), "certificates[0]") {
		t.Fatalf("%v", r.err)
	}
	says(t, r.err.Error(), "certificates[1] (secret b, version ACSCurrent)", "InternalFailure")

	cloud.Endpoint(gateway).SetFault(emulator.Fault{})
	cloud.KMS().DeleteSecret("b")
	holds(t, good(t, p).certificates, "a/"+a)
	cloud.KMS().PutSecret("b", root(t, "b").PEM())
	cloud.Endpoint(gateway).SetFault(down)
	r = good(t, p)
	holds(t, r.certificates, "a/"+a)
	says(t, r.status, `"Reason":"`, `"Degraded":{`)
}

func TestManyFailuresAreCounted(t *testing.T) {
	cloud := startCloud(t)
	var list []string
	for i := range maxJoined + 3 {
		list = append(list, fmt.Sprintf(`{"secretName": "s%d"}`, i))
	}
	p, _ := newProvider(t, cloud, `{"certificates": [`+strings.Join(list, ",")+`]}`)
	r := refreshed(t.Context(), t, p)
	if !errors.Is(r.err, keymaterial.ErrGone) || !strings.HasSuffix(r.err.Error(), "; and 3 more") || strings.Contains(r.err.Error(), "\n") {
		t.Errorf("%v", r.err)
	}
}

// No answer at all ends with the timeout, and a caller who waits for another's read gives up when its own time ends.
func TestHangs(t *testing.T) {
	cloud := startCloud(t)
	v := cloud.KMS().PutSecret("signer", root(t, "root").PEM())
	p, _ := newProvider(t, cloud, `{"certificates": [{"secretName": "signer"}], "timeout": "1s"}`)
	good(t, p)
	reached := make(chan struct{})
	var once sync.Once
	cloud.Endpoint(gateway).SetFault(emulator.Fault{Hang: true, Match: func(*http.Request) bool { once.Do(func() { close(reached) }); return true }})
	first := make(chan read)
	go func() { first <- refreshed(t.Context(), t, p) }()
	<-reached
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := refreshed(ctx, t, p); !errors.Is(r.err, context.Canceled) {
		t.Errorf("a caller who gave up: %v", r.err)
	}
	if _, err := p.Degraded(); err != nil { // does not wait
		t.Error(err)
	}
	r := <-first
	if r.err != nil {
		t.Fatal(r.err)
	}
	holds(t, r.certificates, "signer/"+v)
	_, err := p.Degraded()
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%v", err)
	}
	says(t, err.Error(), "no complete answer in time")
}

func TestWithoutRights(t *testing.T) {
	cloud := startCloud(t)
	cloud.KMS().PutSecret("signer", root(t, "root").PEM())
	id, secret := cloud.AddAccessKey()
	const parameters = `{"certificates": [{"secretName": "signer"}], "credential": {"type": "access_key", "accessKeyId": %q, "accessKeySecret": %q}}`
	p, _ := newProvider(t, cloud, fmt.Sprintf(parameters, id, secret))
	good(t, p)
	p, _ = newProvider(t, cloud, fmt.Sprintf(parameters, id, secret+"x"))
	r := refreshed(t.Context(), t, p)
	if !errors.Is(r.err, apikms.ErrDenied) || strings.Contains(r.err.Error(), secret) {
		t.Errorf("a wrong secret: %v", r.err)
	}
	cloud.Endpoint("sts.cn-hangzhou.aliyuncs.com").SetFault(emulator.Fault{Status: 500, Body: `{"Code":"InternalError"}`})
	p, _ = newProvider(t, cloud, `{"certificates": [{"secretName": "signer"}]}`)
	r = refreshed(t.Context(), t, p)
	if r.err == nil {
		t.Fatal("no session")
	}
	says(t, r.err.Error(), "certificates[0]", "sts.cn-hangzhou.aliyuncs.com", "InternalError")
}

// A dedicated instance has an authority of its own, and leaves the management of keys to the shared gateway.
func TestDedicatedInstance(t *testing.T) {
	cloud := startCloud(t)
	const id, host = "kst-hzz0123456789", "kst-hzz0123456789.cryptoservice.kms.aliyuncs.com"
	if err := cloud.AddKMSInstance(id, "cn-hangzhou"); err != nil {
		t.Fatal(err)
	}
	addKey(t, cloud, kms.KeyOptions{ID: "key-own", Spec: "EC_P256", Instance: id})
	cloud.KMS().PutSecret("signer", root(t, "root").PEM())
	const parameters = `{"certificates": [{"secretName": "signer"}], "keys": [{"keyId": "key-own"}], "endpoint": %q, "caBundle": %q}`
	p, _ := newProvider(t, cloud, fmt.Sprintf(parameters, host, cloud.KMSInstanceCA(id)))
	if r := good(t, p); len(r.certificates) != 1 || len(r.keys) != 1 {
		t.Errorf("%v, %v", r.certificates, r.keys)
	}
	calls := cloud.Calls()
	if calls[host+" GetSecretValue"] != 1 || calls[host+" GetPublicKey"] != 1 || calls[gateway+" DescribeKey"] != 1 || calls[gateway+" GetSecretValue"] != 0 {
		t.Errorf("calls %v", calls)
	}
	p, _ = newProvider(t, cloud, fmt.Sprintf(parameters, host, cloud.CAPEM()))
	r := refreshed(t.Context(), t, p)
	if r.err == nil {
		t.Fatal("another authority is trusted")
	}
	says(t, r.err.Error(), "caBundle")
}

// Reads from many sides while everything changes leave what KMS has in the end.
func TestConcurrentReads(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-one", Spec: "EC_P256"})
	anchor := root(t, "root")
	cloud.KMS().PutSecret("signer", anchor.PEM())
	cloud.KMS().PutSecret("other", anchor.PEM())
	p, _ := newProvider(t, cloud, `{"certificates": [{"secretName": "signer"}, {"secretName": "other"}], "keys": [{"keyId": "key-one"}]}`)
	good(t, p)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 4 {
				if r := refreshed(t.Context(), t, p); r.err != nil || len(r.certificates) != 2 {
					t.Errorf("%d certificates, %v", len(r.certificates), r.err)
				}
				_, _ = p.Degraded()
			}
		})
	}
	group.Go(func() {
		for i := range 8 {
			cloud.KMS().PutSecret("signer", anchor.PEM())
			cloud.KMS().SetKeyState("key-one", []string{kms.Disabled, kms.Enabled}[i%2])
		}
	})
	group.Wait()
	last := cloud.KMS().PutSecret("signer", anchor.PEM())
	r := good(t, p)
	found := false
	for at := range r.certificates {
		found = found || at.Version == last
	}
	if !found || len(r.certificates) != 2 || len(r.keys) != 1 {
		t.Errorf("%v, %v", r.certificates, r.keys)
	}
}

// A ctx that has ended by the time of GetKeys must not undo what GetCertificates found out.
func TestTimeIsUp(t *testing.T) {
	cloud := startCloud(t)
	addKey(t, cloud, kms.KeyOptions{ID: "key-one", Spec: "EC_P256"})
	cloud.KMS().PutSecret("signer", root(t, "root").PEM())
	p, _ := newProvider(t, cloud, `{"certificates": [{"secretName": "signer"}], "keys": [{"keyId": "key-one"}]}`)
	good(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		keys, _, err := p.GetKeys(ctx)
		if err != nil || len(keys) != 1 {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
	}
	if _, err := p.Degraded(); !errors.Is(err, context.Canceled) {
		t.Errorf("degraded: %v", err)
	}
}
