package certificate

import (
	"crypto"
	"crypto/x509"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// authority is a root, an intermediate, and the certificate of a signer.
type authority struct{ root, intermediate, signer signing.Identity }

func newAuthority() authority {
	root := must(signing.New("root", signing.Options{Authority: true}))
	intermediate := must(root.Issue("intermediate", signing.Options{Authority: true}))
	return authority{root, intermediate, must(intermediate.Issue("signer", signing.Options{}))}
}

func TestOrder(t *testing.T) {
	a, now := newAuthority(), time.Now()
	leaf, intermediate, root := a.signer.Chain[0], a.intermediate.Chain[0], a.root.Chain[0]
	self := must(signing.New("self", signing.Options{})).Chain[0]
	stranger := must(signing.New("stranger", signing.Options{Authority: true})).Chain[0]
	renewed := must(a.intermediate.Issue("renewed", signing.Options{Signer: a.signer.Key,
		Validity: signing.Validity{From: now.Add(-time.Hour), To: now.AddDate(5, 0, 0)}})).Chain[0]
	oldRoot := must(signing.New("root", signing.Options{Authority: true, Signer: a.root.Key,
		Validity: signing.Validity{From: now.AddDate(-9, 0, 0), To: now.AddDate(-1, 0, 0)}})).Chain[0]
	cross := must(must(signing.New("other root", signing.Options{Authority: true})).Issue("root", signing.Options{Authority: true, Signer: a.root.Key,
		Validity: signing.Validity{From: now.AddDate(-9, 0, 0), To: now.AddDate(30, 0, 0)}})).Chain[0]
	namesake := must(signing.New("root", signing.Options{Authority: true})).Chain[0]
	whole := []*x509.Certificate{leaf, intermediate, root}
	for name, tt := range map[string]struct {
		certs []*x509.Certificate
		key   crypto.PublicKey
		want  []*x509.Certificate
		err   string
	}{
		"in order":            {whole, leaf.PublicKey, whole, ""},
		"reversed":            {[]*x509.Certificate{root, intermediate, leaf}, leaf.PublicKey, whole, ""},
		"without a key":       {[]*x509.Certificate{root, leaf, intermediate}, nil, whole, ""},
		"with a stranger":     {[]*x509.Certificate{stranger, root, intermediate, leaf}, nil, whole, ""},
		"self-signed":         {[]*x509.Certificate{self}, nil, []*x509.Certificate{self}, ""},
		"renewed":             {[]*x509.Certificate{leaf, renewed, intermediate, root}, leaf.PublicKey, []*x509.Certificate{renewed, intermediate, root}, ""},
		"an expired root":     {[]*x509.Certificate{leaf, intermediate, oldRoot, root}, nil, whole, ""},
		"cross-certificate":   {[]*x509.Certificate{leaf, intermediate, cross, root}, nil, whole, ""},
		"two leafs":           {[]*x509.Certificate{leaf, self, intermediate, root}, nil, nil, "several certificates"},
		"one of two leafs":    {[]*x509.Certificate{leaf, self, intermediate, root}, self.PublicKey, []*x509.Certificate{self}, ""},
		"another key":         {whole, self.PublicKey, nil, "none of the certificates is for the KMS key"},
		"no leaf":             {[]*x509.Certificate{intermediate, root}, nil, nil, "can only issue others"},
		"no root":             {[]*x509.Certificate{leaf, intermediate}, nil, nil, `"CN=root,O=Example,ST=Zhejiang,C=CN", which issued "CN=intermediate`},
		"no intermediate":     {[]*x509.Certificate{leaf, root}, nil, nil, "is missing"},
		"another one's name":  {[]*x509.Certificate{leaf, intermediate, namesake}, nil, nil, "did not issue it"},
		"no certificates":     {nil, nil, nil, "no certificate of a signing key"},
		"no certificates (k)": {nil, leaf.PublicKey, nil, "none of the certificates"},
	} {
		got, err := Order(tt.certs, tt.key, now)
		switch {
		case tt.err == "" && (err != nil || !reflect.DeepEqual(got, tt.want)):
			t.Errorf("%s: %d certificates, %v", name, len(got), err)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: %v, want %q", name, err, tt.err)
		}
		if errors.Is(err, ErrLeaf) != (name == "two leafs") {
			t.Errorf("%s: %v is ErrLeaf: %t", name, err, errors.Is(err, ErrLeaf))
		}
	}
}

func TestOrderEndsInCircles(t *testing.T) {
	one, two := newKey(t), newKey(t)
	a := must(must(signing.New("b", signing.Options{Authority: true, Signer: two})).Issue("a", signing.Options{Authority: true, Signer: one}))
	b := must(must(signing.New("a", signing.Options{Authority: true, Signer: one})).Issue("b", signing.Options{Authority: true, Signer: two}))
	leaf := must(a.Issue("leaf", signing.Options{}))
	if _, err := Order([]*x509.Certificate{leaf.Chain[0], a.Chain[0], b.Chain[0]}, nil, time.Now()); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("got %v", err)
	}
}

func TestCheck(t *testing.T) {
	now := time.Now()
	a := newAuthority()
	sign := func(o signing.Options) []*x509.Certificate { return must(a.intermediate.Issue("signer", o)).Chain }
	self := func(o signing.Options) []*x509.Certificate { return must(signing.New("self", o)).Chain }
	for name, tt := range map[string]struct {
		chain []*x509.Certificate
		want  string
	}{
		"issued":         {sign(signing.Options{}), ""},
		"self-signed":    {self(signing.Options{}), ""},
		"expired":        {sign(signing.Options{Validity: signing.Validity{From: now.AddDate(-1, 0, 0), To: now.Add(-time.Hour)}}), "expired on"},
		"not yet valid":  {self(signing.Options{Validity: signing.Validity{From: now.Add(time.Hour), To: now.AddDate(1, 0, 0)}}), "valid only from"},
		"for servers":    {self(signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), "ServerAuth"},
		"for encryption": {sign(signing.Options{KeyUsage: x509.KeyUsageKeyEncipherment}), "Digital Signature"},
		"an authority":   {a.root.Chain, "ca field must be set to false"},
		"without a root": {sign(signing.Options{})[:2], "not self-signed"},
		"issued, alone":  {sign(signing.Options{})[:1], "self-signed"},
		"no chain":       {append(self(signing.Options{}), a.root.Chain...), "is not issued by"},
	} {
		err := Check(tt.chain, now)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestEndsSoon(t *testing.T) {
	now := time.Now()
	chain := must(signing.New("self", signing.Options{Validity: signing.Validity{From: now.Add(-time.Hour), To: now.AddDate(1, 0, 0)}})).Chain
	if warning := EndsSoon(chain, now); warning != "" {
		t.Error(warning)
	}
	if warning := EndsSoon(chain, chain[0].NotAfter.AddDate(0, 0, -29)); !strings.Contains(warning, "ends in 29 days") || !strings.Contains(warning, Serial(chain[0])) {
		t.Error(warning)
	}
}
