package cosign

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func newFulcio(t testing.TB) *signing.Fulcio {
	t.Helper()
	return must(signing.NewFulcio())(t)
}

// trustFulcio makes an authority, and the certificate transparency log that it tells, those that the environment trusts.
func trustFulcio(t testing.TB, f *signing.Fulcio) {
	t.Helper()
	t.Setenv(envRootFile, writeFile(t, f.PEM()))
	t.Setenv(envCTLogKey, writeFile(t, must(f.LogPEM())(t)))
}

func TestKeyless(t *testing.T) {
	fulcio, otherFulcio := newFulcio(t), newFulcio(t)
	trustFulcio(t, fulcio)
	log := must(signing.NewCosignLog())(t)
	trustLog(t, log)
	hourAgo := time.Now().Add(-time.Hour)
	signed := func(f *signing.Fulcio, identity, issuer string, at time.Time) signing.CosignSignature {
		return logged(t, log, sign(t, must(f.Issue(identity, issuer, hourAgo))(t)), at)
	}
	fresh := func(f *signing.Fulcio) signing.CosignSignature {
		return sign(t, must(f.Issue(identity, issuer, time.Now().Add(-time.Minute)))(t))
	}
	inTime := hourAgo.Add(time.Minute)
	good := signed(fulcio, identity, issuer, inTime)
	noCertificate := good.With(signing.CosignCertificateAnnotation, "")
	swapped := good.With(signing.CosignCertificateAnnotation, signed(fulcio, identity, issuer, inTime).Annotations[signing.CosignCertificateAnnotation])
	tests := []struct {
		name      string
		members   string
		signature signing.CosignSignature
		want      string
		reason    string
	}{
		{"good", withKeyless, good, "verified", "the certificate was issued by a trusted authority"},
		{"without a chain", withKeyless, good.With(signing.CosignChainAnnotation, ""), "verified", ""},
		{"pattern", `"keyless":{"certificateIdentityRegExp":"^https://ci.example.com/team/","certificateOIDCIssuerRegExp":"example"}`, good,
			"verified", ""},
		{"wrong identity", withKeyless, signed(fulcio, "https://ci.example.com/others", issuer, inTime), "refused",
			"got subjects [https://ci.example.com/others] with issuer " + issuer},
		{"wrong issuer", withKeyless, signed(fulcio, identity, "https://oidc.example.net", inTime), "refused", "none of the expected identities"},
		{"pattern that does not fit", `"keyless":{"certificateIdentityRegExp":"^https://ci.example.org/","certificateOIDCIssuerRegExp":"."}`,
			good, "refused", "none of the expected identities"},
		{"unknown authority", withKeyless, signed(otherFulcio, identity, issuer, inTime), "refused", "certificate signed by unknown authority"},
		{"signed too late", withKeyless, signed(fulcio, identity, issuer, time.Now()), "refused", "is not valid at"},
		{"signed too early", withKeyless, signed(fulcio, identity, issuer, hourAgo.Add(-time.Hour)), "refused", "is not valid at"},
		{"not told to the certificate transparency log", withKeyless, signed(fulcio.WithoutProof(), identity, issuer, inTime), "refused",
			"does not include required embedded SCT"},
		{"that need not be", `"keyless":{"ctLogVerify":false,"certificateIdentity":"` + identity + `","certificateOIDCIssuer":"` + issuer + `"}`,
			signed(fulcio.WithoutProof(), identity, issuer, inTime), "verified", ""},
		{"no certificate", withKeyless, noCertificate, "refused", "has no certificate"},
		{"key without a certificate", withKeyless, logged(t, log, sign(t, newKey(t)), inTime), "refused", "has no certificate"},
		{"another's certificate", withKeyless, swapped, "refused", "not made with the key of its certificate"},
		{"without a log, certificate valid now", withKeyless + withoutLog, fresh(fulcio), "verified", "the certificate was valid"},
		{"without a log, certificate expired", withKeyless + withoutLog, good, "refused", "no transparency log tells"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, reason := outcome(verify(t.Context(), newVerifier(t, withPolicy(tt.members)), newStore(tt.signature)))
			if got != tt.want || !strings.Contains(reason, tt.reason) {
				t.Errorf("%s: %s; want %s: %s", got, reason, tt.want, tt.reason)
			}
		})
	}

	t.Run("another certificate transparency log", func(t *testing.T) {
		t.Setenv(envCTLogKey, writeFile(t, must(otherFulcio.LogPEM())(t)))
		got, reason := outcome(verify(t.Context(), newVerifier(t, withPolicy(withKeyless)), newStore(good)))
		if got != "refused" || !strings.Contains(reason, "ctfe public key not found") {
			t.Errorf("%s: %s", got, reason)
		}
	})
	t.Run("the log has it twice, and the first time counts", func(t *testing.T) {
		s := sign(t, must(fulcio.Issue(identity, issuer, hourAgo))(t))
		early, late := must(log.Entry(s, inTime))(t), must(log.Entry(s, time.Now()))(t)
		for _, found := range [][]map[string]any{{early, late}, {late, early}} {
			rekor := newRekor(t, entries(t, found...))
			v := newVerifier(t, withPolicy(withKeyless+`,"rekorURL":"`+rekor.url+`"`))
			if got, reason := outcome(verify(t.Context(), v, newStore(s))); got != "verified" {
				t.Errorf("%s: %s", got, reason)
			}
		}
	})
	t.Run("the log is asked", func(t *testing.T) {
		key := must(fulcio.Issue(identity, issuer, hourAgo))(t)
		s := sign(t, key)
		for at, want := range map[time.Time]string{inTime: "verified", time.Now(): "refused"} {
			rekor := newRekor(t, entries(t, must(log.Entry(s, at))(t)))
			if got, reason := outcome(verify(t.Context(), newVerifier(t, withPolicy(withKeyless+`,"rekorURL":"`+rekor.url+`"`)),
				newStore(s))); got != want {
				t.Errorf("%s: %s, want %s", got, reason, want)
			}
		}
	})
}

// An intermediate authority may stand in the file of the environment or, if that has none, come with the signature.
func TestIntermediateAuthority(t *testing.T) {
	key := newKey(t)
	for name, tt := range map[string]struct {
		inFile, inChain, otherInFile bool
		want                         string
	}{
		"in the file":        {true, false, false, "verified"},
		"with the signature": {false, true, false, "verified"},
		"in both":            {true, true, false, "verified"},
		"nowhere":            {false, false, false, "refused"},
		"with the signature, the file has another": {false, true, true, "refused"},
		"in the file with another":                 {true, false, true, "verified"},
	} {
		t.Run(name, func(t *testing.T) {
			root := must(signing.Root("root"))(t)
			middle, other := must(root.Intermediate("middle"))(t), must(root.Intermediate("other"))(t)
			leaf := must(middle.Leaf("leaf", signing.Validity{}))(t)
			file, chain := root.PEM(), root.PEM()
			if tt.inFile {
				file += middle.PEM()
			}
			if tt.otherInFile {
				file += other.PEM()
			}
			if tt.inChain {
				chain = middle.PEM() + chain
			}
			t.Setenv(envRootFile, writeFile(t, file))
			signer := signing.CosignKeyOf(leaf.Key)
			signer.Certificate, signer.Chain = leaf.PEM(), chain
			// The legacy form accepts anybody; these certificates have no identity.
			v := newVerifier(t, `{"name":"cosign","artifactTypes":"*"}`, key)
			if got, reason := outcome(verify(t.Context(), v, newStore(sign(t, signer)))); got != tt.want {
				t.Errorf("%s: %s, want %s", got, reason, tt.want)
			}
		})
	}
}

// The form without trust policies asks for both logs if it has a rekorURL, and for neither without.
func TestLegacyForm(t *testing.T) {
	fulcio := newFulcio(t)
	trustFulcio(t, fulcio)
	log := must(signing.NewCosignLog())(t)
	trustLog(t, log)
	key := newKey(t)
	file := writeFile(t, must(key.PEM())(t))
	rekor := newRekor(t, entries(t))
	anybody := func(f *signing.Fulcio) signing.CosignSignature {
		return sign(t, must(f.Issue("https://anybody.example.com", issuer, time.Now()))(t))
	}
	now := time.Now()
	for name, tt := range map[string]struct {
		key, log  bool
		signature signing.CosignSignature
		want      string
	}{
		"key, in the log":          {true, true, logged(t, log, sign(t, key), now), "verified"},
		"key, not in the log":      {true, true, sign(t, key), "refused"},
		"key, without a log":       {true, false, sign(t, key), "verified"},
		"stranger's key":           {true, false, sign(t, newKey(t)), "refused"},
		"keyless, in both logs":    {false, true, logged(t, log, anybody(fulcio), now), "verified"},
		"keyless, not in the log":  {false, true, anybody(fulcio), "refused"},
		"keyless, without an SCT":  {false, true, logged(t, log, anybody(fulcio.WithoutProof()), now), "refused"},
		"keyless, without logs":    {false, false, anybody(fulcio.WithoutProof()), "verified"},
		"keyless, other authority": {false, false, anybody(newFulcio(t)), "refused"},
	} {
		parameters := `{"name":"cosign","artifactTypes":"*"`
		if tt.key {
			parameters += `,"key":"` + file + `"`
		}
		if tt.log {
			parameters += `,"rekorURL":"` + rekor.url + `"`
		}
		if got, reason := outcome(verify(t.Context(), newVerifier(t, parameters+"}"), newStore(tt.signature))); got != tt.want {
			t.Errorf("%s: %s: %s, want %s", name, got, reason, tt.want)
		}
	}
}

func TestChainsHaveLimits(t *testing.T) {
	leaf := must(newFulcio(t).Issue(identity, issuer, time.Now()))(t)
	block, _ := pem.Decode([]byte(leaf.Certificate))
	if _, err := parseChain(map[string]string{signing.CosignCertificateAnnotation: string(pem.EncodeToMemory(block))}); err != nil {
		t.Error(err)
	}
	var chain string
	for range maxChainLength {
		chain += must(signing.Root("root"))(t).PEM()
	}
	_, err := parseChain(map[string]string{signing.CosignCertificateAnnotation: leaf.Certificate, signing.CosignChainAnnotation: chain})
	if err == nil || !strings.Contains(err.Error(), "17 certificates; more than 16") {
		t.Errorf("a long chain: %v", err)
	}
	issuing := must(signing.Root("root"))(t)
	huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), maxRSABits, 1), E: 65537} // nobody has the private key
	der := must(x509.CreateCertificate(rand.Reader, issuing.Chain[0], issuing.Chain[0], huge, issuing.Key))(t)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for _, annotations := range []map[string]string{
		{signing.CosignCertificateAnnotation: text},
		{signing.CosignCertificateAnnotation: leaf.Certificate, signing.CosignChainAnnotation: text},
	} {
		if _, err := parseChain(annotations); err == nil || !strings.Contains(err.Error(), "RSA key of 8193 bits") {
			t.Errorf("a huge key: %v", err)
		}
	}
}
