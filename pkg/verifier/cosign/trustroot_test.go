package cosign

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// fakeTUF is a repository with a trusted root, which the environment names.
type fakeTUF struct {
	files   map[string][]byte // by path
	target  string            // path of the trusted root
	fetched atomic.Int32      // how often the time stamp was read, which is once in a session
	status  atomic.Int32      // what it answers instead of files, if not 0
}

func newTUF(t testing.TB, fulcio *signing.Fulcio, log signing.CosignLog) *fakeTUF {
	t.Helper()
	return newTUFOf(t, trustedRoot(t, fulcio, log, periods{}))
}

// newTUFOf returns a repository with this trusted root.
func newTUFOf(t testing.TB, trusted []byte) *fakeTUF {
	t.Helper()
	tuf := &fakeTUF{files: make(map[string][]byte)}
	hash := sha256.Sum256(trusted)
	tuf.target = "/targets/" + hex.EncodeToString(hash[:]) + ".trusted_root.json"
	tuf.files[tuf.target] = trusted

	expires := time.Now().AddDate(0, 0, 7)
	rootRole, targets := metadata.Root(expires), metadata.Targets(expires)
	snapshot, timestamp := metadata.Snapshot(expires), metadata.Timestamp(expires)
	targets.Signed.Targets["trusted_root.json"] = must(metadata.TargetFile().FromBytes("trusted_root.json", trusted, "sha256"))(t)
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer := must(signature.LoadSigner(key, crypto.Hash(0)))(t)
	for _, role := range []string{"root", "targets", "snapshot", "timestamp"} {
		if err := rootRole.Signed.AddKey(must(metadata.KeyFromPublicKey(key.Public()))(t), role); err != nil {
			t.Fatal(err)
		}
	}
	for path, role := range map[string]interface {
		Sign(signature.Signer) (*metadata.Signature, error)
		ToBytes(bool) ([]byte, error)
	}{"/1.root.json": rootRole, "/1.targets.json": targets, "/1.snapshot.json": snapshot, "/timestamp.json": timestamp} {
		must(role.Sign(signer))(t)
		tuf.files[path] = must(role.ToBytes(false))(t)
	}
	server := httptest.NewServer(tuf)
	t.Cleanup(server.Close)
	t.Setenv(envTUFMirror, server.URL)
	t.Setenv(envTUFRoot, writeFile(t, string(tuf.files["/1.root.json"])))
	return tuf
}

// period is the time in which a trust root trusts something; the zero period begins a year ago and does not end.
type period struct{ start, end time.Time }

type periods struct{ authority, ctLog, rekor period }

func (p period) begin() time.Time {
	if p.start.IsZero() {
		return time.Now().AddDate(-1, 0, 0)
	}
	return p.start
}

func trustedRoot(t testing.TB, fulcio *signing.Fulcio, log signing.CosignLog, during periods) []byte {
	t.Helper()
	authority := must(pemfile.Certificates([]byte(fulcio.PEM())))(t)[0]
	ctLog := must(pemfile.PublicKeys([]byte(must(fulcio.LogPEM())(t))))(t)[0]
	logOf := func(key crypto.PublicKey, during period) map[string]*root.TransparencyLog {
		id := must(cosign.GetTransparencyLogID(key))(t)
		return map[string]*root.TransparencyLog{id: {
			BaseURL: "https://log.example.com", ID: must(hex.DecodeString(id))(t), ValidityPeriodStart: during.begin(), ValidityPeriodEnd: during.end,
			HashFunc: crypto.SHA256, PublicKey: key, SignatureHashFunc: crypto.SHA256,
		}}
	}
	trusted := must(root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: authority, ValidityPeriodStart: during.authority.begin(), ValidityPeriodEnd: during.authority.end, URI: "https://fulcio.example.com",
	}}, logOf(ctLog, during.ctLog), nil, logOf(log.Public(), during.rekor)))(t)
	return must(json.Marshal(trusted))(t)
}

func (f *fakeTUF) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/timestamp.json" {
		f.fetched.Add(1)
	}
	content, ok := f.files[r.URL.Path]
	switch status := f.status.Load(); {
	case status != 0:
		w.WriteHeader(int(status))
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		_, _ = w.Write(content)
	}
}

// The trust root is read when it is first needed, once for all verifiers.
func TestTrustRoot(t *testing.T) {
	fulcio, log, key := newFulcio(t), must(signing.NewCosignLog())(t), newKey(t)
	tuf := newTUF(t, fulcio, log)
	o := Options{Keys: providers{"keys": holding(key.Public())}.keys, TrustRoot: NewTrustRoot(loopback(t), quiet()), Transport: loopback(t),
		Log: quiet()}
	build := func(members string) *Verifier { return must(New(t.Context(), parse(t, withPolicy(members)), o))(t) }
	byKey, keyless, offline := build(withKeys), build(withKeyless), build(withKeys+withoutLog)
	bundled := newStore(logged(t, log, sign(t, key), time.Now()))

	if got, reason := outcome(verify(t.Context(), offline, bundled)); got != "verified" || tuf.fetched.Load() != 0 {
		t.Errorf("without a log: %s: %s; fetched %d times", got, reason, tuf.fetched.Load())
	}
	if got, reason := outcome(verify(t.Context(), byKey, newStore(sign(t, newKey(t))))); got != "refused" || tuf.fetched.Load() != 0 {
		t.Errorf("a stranger's: %s: %s; fetched %d times", got, reason, tuf.fetched.Load())
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if got, reason := outcome(verify(t.Context(), byKey, newStore(logged(t, log, sign(t, key), time.Now())))); got != "verified" {
				t.Errorf("%s: %s", got, reason)
			}
		})
	}
	all.Wait()
	signer := must(fulcio.Issue(identity, issuer, time.Now()))(t)
	if got, reason := outcome(verify(t.Context(), keyless, newStore(logged(t, log, sign(t, signer), time.Now())))); got != "verified" {
		t.Errorf("keyless: %s: %s", got, reason)
	}
	stranger := must(newFulcio(t).Issue(identity, issuer, time.Now()))(t)
	if got, reason := outcome(verify(t.Context(), keyless, newStore(logged(t, log, sign(t, stranger), time.Now())))); got != "refused" {
		t.Errorf("keyless, another authority: %s: %s", got, reason)
	}
	// The trust root has only the root; the authority between it and the signer comes with the signature.
	if _, intermediates := must(o.TrustRoot.get(t.Context()))(t).certificatesAt(time.Now()); intermediates != nil {
		t.Error("there are no intermediate authorities, and yet a pool for them")
	}
	if n := tuf.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

// A trust root says from when to when each authority and log is trusted: what is retired vouches for what it did before, and for nothing later.
func TestTrustRootPeriods(t *testing.T) {
	fulcio, log := newFulcio(t), must(signing.NewCosignLog())(t)
	issued := time.Now().Add(-time.Hour)
	signer := must(fulcio.Issue(identity, issuer, issued))(t)
	s := sign(t, signer)
	bundled := logged(t, log, s, issued.Add(time.Minute))
	rekor := newRekor(t, entries(t, must(log.Entry(s, issued.Add(time.Minute)))(t)))
	retiredSince := period{end: issued.Add(30 * time.Minute)}
	retiredBefore := period{end: issued.Add(-time.Minute)}
	later := period{start: issued.Add(30 * time.Minute)}
	for name, tt := range map[string]struct {
		during periods
		want   string
		asked  string // when the log is asked
		reason string
	}{
		"all retired since":       {periods{retiredSince, retiredSince, retiredSince}, "verified", "verified", ""},
		"authority retired":       {periods{authority: retiredBefore}, "refused", "refused", "unknown authority"},
		"authority not yet there": {periods{authority: later}, "refused", "refused", "unknown authority"},
		"certificate log retired": {periods{ctLog: retiredBefore}, "refused", "refused", "CTFE keys"},
		"certificate log later":   {periods{ctLog: later}, "refused", "refused", "CTFE keys"},
		"log retired":             {periods{rekor: retiredBefore}, "refused", "undetermined", "not trusted for entries of"},
		"log later":               {periods{rekor: later}, "refused", "undetermined", "not trusted for entries of"},
	} {
		t.Run(name, func(t *testing.T) {
			newTUFOf(t, trustedRoot(t, fulcio, log, tt.during))
			v := newVerifier(t, withPolicy(withKeyless+`,"rekorURL":"`+rekor.url+`"`))
			for want, signature := range map[*string]signing.CosignSignature{&tt.want: bundled, &tt.asked: s} {
				if got, reason := outcome(verify(t.Context(), v, newStore(signature))); got != *want || !strings.Contains(reason, tt.reason) {
					t.Errorf("%s: %s; want %s: %s", got, reason, *want, tt.reason)
				}
			}
		})
	}
}

// What the environment gives of the material is used instead of that of the trust root.
func TestTrustRootAndEnvironment(t *testing.T) {
	fulcio, log := newFulcio(t), must(signing.NewCosignLog())(t)
	ourFulcio, ourLog := newFulcio(t), must(signing.NewCosignLog())(t)
	newTUF(t, fulcio, log)
	signed := func(f *signing.Fulcio, l signing.CosignLog) *memoryStore {
		return newStore(logged(t, l, sign(t, must(f.Issue(identity, issuer, time.Now()))(t)), time.Now()))
	}
	t.Run("log", func(t *testing.T) {
		trustLog(t, ourLog)
		v := newVerifier(t, withPolicy(withKeyless))
		for store, want := range map[*memoryStore]string{signed(fulcio, ourLog): "verified", signed(fulcio, log): "refused"} {
			if got, reason := outcome(verify(t.Context(), v, store)); got != want {
				t.Errorf("%s: %s, want %s", got, reason, want)
			}
		}
	})
	t.Run("authority", func(t *testing.T) {
		trustFulcio(t, ourFulcio)
		v := newVerifier(t, withPolicy(withKeyless))
		for store, want := range map[*memoryStore]string{signed(ourFulcio, log): "verified", signed(fulcio, log): "refused"} {
			if got, reason := outcome(verify(t.Context(), v, store)); got != want {
				t.Errorf("%s: %s, want %s", got, reason, want)
			}
		}
	})
}

// A trust root that cannot be read makes a verification undetermined, and the next one reads it again.
func TestTrustRootFails(t *testing.T) {
	fulcio, log, key := newFulcio(t), must(signing.NewCosignLog())(t), newKey(t)
	store := newStore(logged(t, log, sign(t, key), time.Now()))
	for name, breaks := range map[string]func(*fakeTUF){
		"down": func(tuf *fakeTUF) { tuf.status.Store(http.StatusServiceUnavailable) },
		"tampered": func(tuf *fakeTUF) {
			tuf.files[tuf.target] = []byte(strings.Replace(string(tuf.files[tuf.target]), "fulcio", "others", 1))
		},
		"endless": func(tuf *fakeTUF) { tuf.files["/timestamp.json"] = []byte(strings.Repeat(" ", 1<<22)) },
		"no JSON": func(tuf *fakeTUF) { tuf.files["/timestamp.json"] = []byte("<html>") },
	} {
		t.Run(name, func(t *testing.T) {
			tuf := newTUF(t, fulcio, log)
			files := maps.Clone(tuf.files)
			breaks(tuf)
			v := newVerifier(t, withPolicy(withKeys), key)
			if got, reason := outcome(verify(t.Context(), v, store)); got != "undetermined" || !strings.Contains(reason,
				"read Sigstore's trust root from http://127.0.0.1") {
				t.Errorf("%s: %s", got, reason)
			}
			tuf.status.Store(0)
			tuf.files = files
			if got, reason := outcome(verify(t.Context(), v, store)); got != "verified" {
				t.Errorf("when it is back: %s: %s", got, reason)
			}
		})
	}
}

func TestTrustRootHangs(t *testing.T) {
	newTUF(t, newFulcio(t), must(signing.NewCosignLog())(t))
	key := newKey(t)
	held := providers{"keys": holding(key.Public())}
	s := sign(t, key)
	synctest.Test(t, func(t *testing.T) {
		v := must(New(t.Context(), parse(t, withPolicy(withKeys)), Options{Keys: held.keys, Transport: hangs{}, Log: quiet()}))(t)
		for _, wait := range []time.Duration{time.Hour, time.Second} {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			_, err := verify(ctx, v, newStore(s))
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != min(wait, fetchTimeout) {
				t.Errorf("%v after %s", err, time.Since(start))
			}
		}
		time.Sleep(fetchTimeout) // of the call that was left
	})
}

// The trust root is renewed in the background, and not used beyond its life.
func TestTrustRootIsRenewed(t *testing.T) {
	fulcio, log, key := newFulcio(t), must(signing.NewCosignLog())(t), newKey(t)
	tuf := newTUF(t, fulcio, log)
	clock := testclock.At(time.Now())
	failed := make(chan string, 1)
	trust := newTrustRoot(loopback(t), slog.New(slog.NewTextHandler(lines(failed), nil)), clock.Now)
	v := must(New(t.Context(), parse(t, withPolicy(withKeys)), Options{Keys: providers{"keys": holding(key.Public())}.keys, TrustRoot: trust,
		Log: quiet()}))(t)
	store := newStore(logged(t, log, sign(t, key), time.Now()))
	expect := func(want string) {
		t.Helper()
		if got, reason := outcome(verify(t.Context(), v, store)); got != want {
			t.Errorf("%s: %s, want %s", got, reason, want)
		}
	}
	expect("verified")
	tuf.status.Store(http.StatusServiceUnavailable)
	clock.Advance(40 * time.Hour)
	expect("verified")
	if line := <-failed; !strings.Contains(line, "could not be renewed") {
		t.Error(line)
	}
	clock.Advance(8 * time.Hour)
	expect("undetermined")
	tuf.status.Store(0)
	expect("verified")
}

// lines is a writer whose first line can be received.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// With TUF_ROOT the files are kept.
func TestTrustRootOnDisk(t *testing.T) {
	log, key := must(signing.NewCosignLog())(t), newKey(t)
	tuf := newTUF(t, newFulcio(t), log)
	t.Setenv(envTUFCache, t.TempDir())
	store := newStore(logged(t, log, sign(t, key), time.Now()))
	for range 2 {
		if got, reason := outcome(verify(t.Context(), newVerifier(t, withPolicy(withKeys), key), store)); got != "verified" {
			t.Errorf("%s: %s", got, reason)
		}
		delete(tuf.files, tuf.target) // the second time it is not asked for
	}
}
