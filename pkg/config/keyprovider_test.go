package config

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// vault is a key management provider whose content a test changes.
type vault struct {
	certificate string
	key         crypto.PublicKey
	err         error
	since       time.Time
	degraded    error
	hangs       bool
	once        bool
	reads       int
}

func (v *vault) IsRefreshable() bool                   { return !v.once }
func (v *vault) DefaultRefreshInterval() time.Duration { return 10 * time.Minute }
func (v *vault) Degraded() (time.Time, error)          { return v.since, v.degraded }

func (v *vault) GetCertificates(ctx context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	v.reads++
	if v.hangs {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	return map[keymanagementprovider.KMPMapKey][]*x509.Certificate{{}: {{Raw: []byte(v.certificate)}}}, nil, v.err
}

func (v *vault) GetKeys(context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey, keymanagementprovider.KeyManagementProviderStatus, error) {
	if v.key == nil {
		return nil, nil, nil
	}
	return map[keymanagementprovider.KMPMapKey]crypto.PublicKey{{Name: "k"}: v.key}, nil, nil
}

func (v *vault) factories() Factories {
	f := (&parts{}).factories()
	f.KeyManagementProviders["vault"] = func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
		if c[RefreshInterval] != nil {
			return nil, errors.New("refreshInterval is not the provider's")
		}
		return v, nil
	}
	return f
}

func TestKeyProviderKeepsWhatItCanNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{}
		p, err := v.factories().KeyProvider(kmpconfig.KeyManagementProviderConfig{"type": "vault"})
		if err != nil {
			t.Fatal(err)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		down, gone, partly := errors.New("KMS is down"), fmt.Errorf("disabled: %w", keymaterial.ErrGone), errors.New("a part is kept")
		start := time.Now()
		for i, step := range []struct {
			change  func()
			changed bool
			holds   string // "": nothing
			since   time.Duration
			why     error
		}{
			{func() { v.err = down }, false, "", 0, down},
			{func() { v.err, v.certificate = nil, "one" }, true, "one", 0, nil},
			{func() {}, false, "one", 0, nil},
			{func() { v.err, v.certificate = down, "none" }, false, "one", 3 * time.Second, down},
			{func() {}, false, "one", 3 * time.Second, down},
			{func() { v.err, v.certificate = nil, "two" }, true, "two", 0, nil},
			{func() { v.degraded, v.since = partly, start.Add(time.Second) }, false, "two", time.Second, partly},
			{func() { v.degraded, v.since = nil, time.Time{} }, false, "two", 0, nil},
			{func() { v.key = key.Public() }, true, "two", 0, nil},
			{func() {}, false, "two", 0, nil},
			{func() { v.err = gone }, true, "", 10 * time.Second, gone},
			{func() { v.err = down }, false, "", 10 * time.Second, down},
			{func() { v.err = nil }, true, "two", 0, nil},
		} {
			step.change()
			changed, err := p.Read(t.Context())
			held, heldErr := p.Material()
			if !errors.Is(err, heldErr) || (heldErr == nil) != (step.holds != "") {
				t.Fatalf("step %d: read: %v, held: %v", i, err, heldErr)
			}
			if step.holds != "" && string(held.Certificates[0].Raw) != step.holds {
				t.Errorf("step %d: holds %s, want %s", i, held.Certificates[0].Raw, step.holds)
			}
			if changed != step.changed {
				t.Errorf("step %d: changed: %t", i, changed)
			}
			since, why := p.Degraded()
			if !errors.Is(why, step.why) || (why == nil) != since.IsZero() {
				t.Errorf("step %d: degraded since %s: %v, want %v", i, since, why, step.why)
			}
			if step.why != nil && !since.Equal(start.Add(step.since)) {
				t.Errorf("step %d: since %s, want %s", i, since.Sub(start), step.since)
			}
			time.Sleep(time.Second) // of the bubble's clock
		}
	})
}

func TestKeyProviderIsDue(t *testing.T) {
	for name, tt := range map[string]struct {
		interval any
		vault    vault
		want     time.Duration // 0: never
	}{
		"the provider's own":    {nil, vault{}, 10 * time.Minute},
		"empty":                 {"", vault{}, 10 * time.Minute},
		"configured":            {"90s", vault{}, 90 * time.Second},
		"never changes":         {"90s", vault{once: true}, 0},
		"holds nothing":         {nil, vault{err: errors.New("down")}, retryAfter},
		"holds nothing, short":  {"5s", vault{err: errors.New("down")}, 5 * time.Second},
		"never changes, unread": {nil, vault{once: true, err: errors.New("down")}, retryAfter},
		"partly what it read":   {nil, vault{degraded: errors.New("down")}, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				block := kmpconfig.KeyManagementProviderConfig{"type": "vault"}
				if tt.interval != nil {
					block[RefreshInterval] = tt.interval
				}
				p, err := tt.vault.factories().KeyProvider(block)
				if err != nil {
					t.Fatal(err)
				}
				all := KeyProviders{"p": p}
				if !all.IsDue("p") {
					t.Error("it is not due before it was read")
				}
				_, _ = p.Read(t.Context())
				want := time.Time{}
				if tt.want > 0 {
					want = time.Now().Add(tt.want)
				}
				if got := all.Due(); !got.Equal(want) {
					t.Errorf("due %s, want %s", got, want)
				}
				if all.IsDue("p") {
					t.Error("it is due at once")
				}
				if time.Sleep(tt.want); all.IsDue("p") != (tt.want > 0) {
					t.Errorf("is due: %t", all.IsDue("p"))
				}
			})
		})
	}
}

func TestRefreshIntervalMistakes(t *testing.T) {
	for _, value := range []any{"soon", "0s", "-1m", "999ms", 10, true, "10"} {
		_, err := (&vault{}).factories().KeyProvider(kmpconfig.KeyManagementProviderConfig{"type": "vault", RefreshInterval: value})
		if err == nil || !strings.Contains(err.Error(), "refreshInterval is ") {
			t.Errorf("%v: %v", value, err)
		}
	}
}

// A provider that hangs holds up neither others nor, longer than its time, the reading.
func TestReadingEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := make(KeyProviders)
		for name, v := range map[string]*vault{"hangs": {hangs: true}, "team/hangs": {hangs: true}, "fine": {}, "team/fine": {}} {
			p, err := v.factories().KeyProvider(kmpconfig.KeyManagementProviderConfig{"type": "vault"})
			if err != nil {
				t.Fatal(err)
			}
			all[name] = p
		}
		start := time.Now()
		all.Read(t.Context(), all.IsDue, func(name string, changed bool) {
			fine := strings.HasSuffix(name, "fine")
			if took := time.Since(start); changed != fine || fine != (took == 0) {
				t.Errorf("%s: changed: %t, after %s", name, changed, took)
			}
		})
		if took := time.Since(start); took > readTimeout {
			t.Errorf("it took %s", took)
		}
		for name, p := range all {
			if _, err := p.Material(); (err == nil) != strings.HasSuffix(name, "fine") {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Nor does one who waits for a reading that hangs wait longer than its own time.
		go func() { _, _ = all["hangs"].Read(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if start := time.Now(); !func() bool { _, err := all["hangs"].Read(ctx); return err != nil && time.Since(start) == time.Second }() {
			t.Errorf("it took %s", time.Since(start))
		}
	})
}

func TestBuilderRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const configuration = `{
		  "store":    {"plugins": [{"name": "memory"}]},
		  "policy":   {"plugin": {"name": "configPolicy"}},
		  "keyManagementProvider": {"plugins": [{"name": "kms", "type": "vault", "refreshInterval": "1m"}]},
		  "verifier": {"plugins": [{"name": "checker", "artifactTypes": "*", "trust": "kms"}, {"name": "checker", "artifactTypes": "x"}]}
		}`
		parse := func(text string) *Config {
			c, err := Parse("config.json", []byte(text), discard)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		c, v := parse(configuration), &vault{certificate: "one"}
		b := &Builder{Factories: v.factories(), Log: discard}
		first, err := b.Build(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if b.Refresh(t.Context()) || v.reads != 1 {
			t.Fatalf("refreshed before it was due; %d reads", v.reads)
		}
		refresh := func() *verification.Snapshot {
			time.Sleep(time.Until(b.Due()))
			if !b.Refresh(t.Context()) {
				return nil
			}
			return b.Rebuild(t.Context())
		}
		if s := refresh(); s != nil || v.reads != 2 {
			t.Fatalf("a new Snapshot although nothing has changed; %d reads", v.reads)
		}
		v.certificate = "two"
		second := refresh()
		if second == nil || second.Generation() <= first.Generation() || second.Scope("").Err != nil {
			t.Fatalf("no new Snapshot, or not a good one: %v", second)
		}
		if second.Scope("").Stores[0] != first.Scope("").Stores[0] || second.Scope("").Verifiers[0] == first.Scope("").Verifiers[0] {
			t.Error("want the store that there was and a new verifier")
		}
		if second.Scope("").Verifiers[1] != first.Scope("").Verifiers[1] {
			t.Error("a verifier that reads no key material was made anew")
		}
		v.err = errors.New("KMS is down")
		if s := refresh(); s != nil {
			t.Error("a new Snapshot although what was read stays in use")
		}
		// A change of the rest while KMS is down takes what was read before; a provider that was changed was not.
		if _, err := b.Build(t.Context(), parse(strings.Replace(configuration, `"memory"`, `"memory", "x": 1`, 1))); err != nil {
			t.Error(err)
		}
		if _, err := b.Build(t.Context(), parse(strings.Replace(configuration, "1m", "2m", 1))); err == nil || !strings.Contains(err.Error(), "KMS is down") {
			t.Errorf("Build: %v", err)
		}
		v.err = keymaterial.ErrGone
		if s := refresh(); s == nil || s.Scope("").Err == nil || !errors.Is(s.Scope("").Err, keymaterial.ErrGone) {
			t.Errorf("the keys are gone, and it goes on as before: %v", s)
		}
		v.err = nil
		if s := refresh(); s == nil || s.Scope("").Err != nil {
			t.Errorf("the keys are back: %v", s)
		}
	})
}

// A Build that fails has read the providers all the same: what is gone must not stay trusted because of a mistake elsewhere.
func TestFailedBuildLeavesNothingStale(t *testing.T) {
	const configuration = `{
	  "store":    {"plugins": [{"name": "memory"}]},
	  "policy":   {"plugin": {"name": "configPolicy"}},
	  "keyManagementProvider": {"plugins": [{"name": "kms", "type": "vault"}]},
	  "verifier": {"plugins": [{"name": "checker", "artifactTypes": "*", "trust": "kms"}]}
	}`
	mistaken := strings.Replace(configuration, `"trust": "kms"`, `"trust": "nonesuch"`, 1)
	for name, change := range map[string]func(v *vault){
		"gone":    func(v *vault) { v.err = keymaterial.ErrGone },
		"rotated": func(v *vault) { v.certificate = "two" },
		"same":    func(*vault) {},
	} {
		t.Run(name, func(t *testing.T) {
			v := &vault{certificate: "one"}
			b := &Builder{Factories: v.factories(), Log: discard}
			build := func(text string) error {
				c, err := Parse("config.json", []byte(text), discard)
				if err != nil {
					t.Fatal(err)
				}
				_, err = b.Build(t.Context(), c)
				return err
			}
			if b.Stale() {
				t.Error("stale before there is anything")
			}
			if err := build(configuration); err != nil {
				t.Fatal(err)
			}
			change(v)
			if err := build(mistaken); err == nil {
				t.Fatal("the mistake was taken")
			}
			if got, want := b.Stale(), name != "same"; got != want {
				t.Errorf("stale: %t, want %t", got, want)
			}
			if got, want := b.Refresh(t.Context()), name != "same"; got != want { // nothing is due, or read again
				t.Errorf("Refresh: %t, want %t", got, want)
			}
			if s := b.Rebuild(t.Context()); (s.Scope("").Err != nil) != (name == "gone") || b.Stale() {
				t.Errorf("rebuilt: %v, stale: %t", s.Scope("").Err, b.Stale())
			}
		})
	}
}

// What goes on for long is logged now and then only, and each change of it at once.
func TestTroubleIsLoggedInMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		v := &vault{certificate: "one"}
		b := &Builder{Factories: v.factories(), Log: slog.New(slog.NewTextHandler(&log, nil))}
		c, err := Parse("config.json", []byte(`{
		  "store":    {"plugins": [{"name": "memory"}]},
		  "policy":   {"plugin": {"name": "configPolicy"}},
		  "keyManagementProvider": {"plugins": [{"name": "kms", "type": "vault", "refreshInterval": "1s"}]},
		  "verifier": {"plugins": [{"name": "checker", "artifactTypes": "*", "trust": "kms"}]}
		}`), discard)
		if err != nil {
			t.Fatal(err)
		}
		v.err = errors.New("KMS is down")
		if _, err := b.Build(t.Context(), c); !errors.Is(err, ErrKeyMaterial) || log.Len() > 0 {
			t.Fatalf("%v, and it is logged besides: %s", err, log.String())
		}
		v.err = nil
		if _, err := b.Build(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			err  error
			want string
		}{
			{nil, ""},
			{errors.New("KMS is down"), "could not be read in full"},
			{keymaterial.ErrGone, "holds nothing"},
			{nil, "key material loaded"},
		} {
			log.Reset()
			for i := range 25 * 60 { // 25 minutes
				if v.err = step.err; v.err != nil {
					v.err = fmt.Errorf("%w (RequestId R-%d)", step.err, i)
				}
				time.Sleep(time.Until(b.Due()))
				if b.Refresh(t.Context()) {
					b.Rebuild(t.Context())
				}
			}
			want := 0
			switch {
			case v.err != nil:
				want = 3 // at once, and every ten minutes
			case step.want != "":
				want = 1
			}
			if got := strings.Count(log.String(), step.want); step.want != "" && got != want || step.want == "" && log.Len() > 0 {
				t.Errorf("%v: %d times %q, want %d", step.err, got, step.want, want)
			}
		}
	})
}
