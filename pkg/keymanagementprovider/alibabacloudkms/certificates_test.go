package alibabacloudkms

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// A secret is rotated, and the version before it is removed.
func TestRotation(t *testing.T) {
	cloud := startCloud(t)
	store := cloud.KMS()
	first, second, third := root(t, "first"), root(t, "second"), root(t, "third")
	v1 := store.PutSecret("signer", "# the first\r\n"+first.PEM())
	p, clock := newProvider(t, cloud, `{"certificates": [{"secretName": "signer"}, {"secretName": "signer", "versionStage": "ACSPrevious"}]}`)

	r := good(t, p)
	holds(t, r.certificates, "signer/"+v1)
	says(t, r.status, `"Stage":"ACSPrevious"`, `"Enabled":"false"`, "until the secret is rotated")
	if since, err := p.Degraded(); err != nil {
		t.Errorf("degraded since %s: %v", since, err)
	}
	if got := r.certificates[keymanagementprovider.KMPMapKey{Name: "signer", Version: v1}]; !got[0].Equal(first.Certificate()) {
		t.Errorf("another certificate: %v", got[0].Subject)
	}

	clock.Advance(DefaultRefreshInterval)
	v2 := store.PutSecret("signer", second.PEM())
	r = good(t, p)
	holds(t, r.certificates, "signer/"+v1, "signer/"+v2)
	says(t, r.status, `"LastRefreshed":"`+clock.Now().UTC().Format(time.RFC3339)+`"`, `"Subject":"`+second.Certificate().Subject.String()+`"`,
		`"NotAfter":"`+second.Certificate().NotAfter.UTC().Format(time.RFC3339)+`"`)

	v3 := store.PutSecret("signer", third.PEM())
	holds(t, good(t, p).certificates, "signer/"+v2, "signer/"+v3)
	store.RemoveSecretVersion("signer", v2)
	holds(t, good(t, p).certificates, "signer/"+v3)

	store.DeleteSecret("signer")
	r = refreshed(t.Context(), t, p)
	if !errors.Is(r.err, keymaterial.ErrGone) {
		t.Fatalf("all is gone: %v", r.err)
	}
	says(t, r.err.Error(), "certificates[0] (secret signer, version ACSCurrent)", "certificates[1]", "RequestId")
	v4 := store.PutSecret("signer", first.PEM())
	holds(t, good(t, p).certificates, "signer/"+v4)
}

func TestChains(t *testing.T) {
	cloud := startCloud(t)
	authority := root(t, "root")
	intermediate, err := authority.Intermediate("intermediate")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := intermediate.Leaf("leaf", signing.Validity{From: time.Now().Add(-48 * time.Hour), To: time.Now().Add(-24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	pinned := cloud.KMS().PutSecret("chain", leaf.ChainPEM())
	cloud.KMS().PutSecret("chain", authority.PEM())
	p, _ := newProvider(t, cloud, fmt.Sprintf(`{"certificates": [{"secretName": "chain", "versionId": %q}]}`, pinned))
	r := good(t, p)
	chain := r.certificates[keymanagementprovider.KMPMapKey{Name: "chain", Version: pinned}]
	if len(chain) != 3 || !chain[0].Equal(leaf.Certificate()) || !chain[2].Equal(authority.Certificate()) {
		t.Errorf("%d certificates", len(chain))
	}
	says(t, r.status, "secret chain, version "+pinned+", certificate 1 ("+leaf.Certificate().Subject.String()+") expired on",
		"is neither a CA's nor self-signed")
	clear(r.certificates) // it is the caller's
	holds(t, good(t, p).certificates, "chain/"+pinned)
}

// What a secret must not hold is an error at first, and keeps what was read before from then on. Nothing of it is shown.
func TestBadSecrets(t *testing.T) {
	cloud := startCloud(t)
	fine := root(t, "fine")
	for name, test := range map[string]struct{ value, want string }{
		"text":  {"s3cr3t", "no PEM block"},
		"empty": {"", ""},
		"private key": {fine.PEM() + "-----BEGIN PRIVATE KEY-----\nczNjcjN0\n-----END PRIVATE KEY-----\n",
			"a private key (PRIVATE KEY) where a certificate is wanted; remove it"},
		"one line":  {"-----BEGIN PRIVATE KEY-----s3cr3t-----END PRIVATE KEY-----", "have line breaks been lost?"},
		"JSON":      {`{"cert": "` + strings.ReplaceAll(fine.PEM(), "\n", `\n`) + `", "password": "s3cr3t"}`, "have line breaks been lost?"},
		"2 MB":      {strings.Repeat("s3cr3t", 400_000), "more than 1048576 bytes"},
		"long kind": {"-----BEGIN " + strings.Repeat("A", 100_000) + "-----\n", "no END"},
		"too many":  {manyCertificates(t), fmt.Sprintf("more than the %d", maxCertificates)},
	} {
		t.Run(name, func(t *testing.T) {
			secret := "bad-" + strings.ReplaceAll(name, " ", "-")
			cloud.KMS().PutSecret(secret, test.value)
			p, _ := newProvider(t, cloud, fmt.Sprintf(`{"certificates": [{"secretName": %q}]}`, secret))
			check := func(err error, status string) {
				t.Helper()
				if err == nil || errors.Is(err, keymaterial.ErrGone) {
					t.Fatalf("%v", err)
				}
				says(t, err.Error(), test.want, "certificates[0] (secret "+secret)
				for _, data := range []string{"s3cr3t", "czNjcjN0"} {
					if text := err.Error() + status; strings.Contains(text, data) {
						t.Errorf("%.300q shows what the secret holds", text)
					}
				}
				if len(err.Error()) > 5000 {
					t.Errorf("%d bytes of error", len(err.Error()))
				}
			}
			check(refreshed(t.Context(), t, p).err, "")

			v := cloud.KMS().PutSecret(secret, fine.PEM())
			holds(t, good(t, p).certificates, secret+"/"+v)
			cloud.KMS().PutSecret(secret, test.value)
			r := good(t, p)
			holds(t, r.certificates, secret+"/"+v)
			_, err := p.Degraded()
			check(err, r.status)
		})
	}
}

func manyCertificates(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for range maxCertificates + 1 {
		text.WriteString(root(t, "one of many").PEM())
	}
	return text.String()
}
