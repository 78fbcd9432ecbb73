package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/notaryproject/notation-core-go/signature"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for what trust policies and trust stores do, whoever signs.
var trustRows = []row{
	{"Trust policy", "strict, permissive, audit and skip", trustLevels},
	{"Trust policy", "the most specific registry scope wins", trustScopes},
	{"Trust store", "rotation: old and new roots side by side", trustRotation},
	{"Trust store", "signingAuthority", trustSigningAuthority},
}

// trustLevels asks about each kind of signature at each level (trust policy specification, "Signature Verification details").
func trustLevels(ctx context.Context, e *environment) error {
	root, err := signing.Root("Levels Root CA")
	if err != nil {
		return err
	}
	responder := signing.NewResponder(root)
	defer responder.Close()
	now := time.Now()
	good, err := root.Issue("good", signing.Options{OCSP: []string{responder.OCSP()}})
	if err != nil {
		return err
	}
	revoked, err := root.Issue("revoked", signing.Options{OCSP: []string{responder.OCSP()}})
	if err != nil {
		return err
	}
	responder.Revoke(revoked.Certificate())
	expired, err := root.Leaf("expired", signing.Validity{From: now.AddDate(-2, 0, 0), To: now.AddDate(-1, 0, 0)})
	if err != nil {
		return err
	}
	stranger, err := signing.SelfSigned("stranger")
	if err != nil {
		return err
	}
	asIs := func(envelope []byte) []byte { return envelope }
	const yes, warning = "signature verified", "lets failed checks pass"
	for _, s := range []struct {
		name   string
		signer signing.Identity
		at     time.Time
		change func([]byte) []byte
		// What the answer says at each level. An image is admitted if it is yes or warning.
		strict, permissive, audit string
	}{
		{"good", good, now, asIs, yes, yes, yes},
		{"revoked", revoked, now, asIs, "revoked", warning, warning},
		{"expired", expired, now.AddDate(-1, -6, 0), asIs, "CN=expired,O=Example,ST=Zhejiang,C=CN expired on", warning, warning},
		{"stranger", stranger, now, asIs, "no trust store holds the issuer", "no trust store holds the issuer", warning},
		{"tampered", good, now, signing.Tamper, "integrity", "integrity", "integrity"},
	} {
		image, err := e.push(ctx, scenario.Demo, "levels/"+s.name)
		if err != nil {
			return err
		}
		envelope, err := s.signer.Envelope(image.desc, signing.JWS, s.at)
		if err != nil {
			return err
		}
		if err := s.signer.Attach(ctx, image.repo, image.desc, signing.JWS, s.change(envelope)); err != nil {
			return err
		}
		for _, level := range []struct{ name, says string }{{"strict", s.strict}, {"permissive", s.permissive}, {"audit", s.audit}} {
			t := trust{policy: everywhere(level.name, "ca:roots"), stores: map[string]string{"ca:roots": root.PEM()}}
			if err := e.agree(ctx, t, image, level.says == yes || level.says == warning, level.says); err != nil {
				return err
			}
		}
		skip := trust{policy: `{"version": "1.0", "trustPolicies": [{"name": "all", "registryScopes": ["*"], "signatureVerification": {"level": "skip"}}]}`}
		if err := e.agree(ctx, skip, image, true, "nothing was verified"); err != nil {
			return err
		}
	}
	return nil
}

// trustScopes has two teams whose roots count for their own repositories only.
func trustScopes(ctx context.Context, e *environment) error {
	stores := map[string]string{}
	for _, name := range []string{"platform", "team"} {
		signer, err := signing.SelfSigned(name)
		if err != nil {
			return err
		}
		if err := e.addIdentity(name, signer); err != nil {
			return err
		}
		stores["ca:"+name] = signer.PEM()
	}
	t := trust{stores: stores, policy: fmt.Sprintf(`{"version": "1.0", "trustPolicies": [
		{"name": "everything-else", "registryScopes": ["*"], "signatureVerification": {"level": "strict"},
			"trustStores": ["ca:platform"], "trustedIdentities": ["*"]},
		{"name": "of-the-team", "registryScopes": [%q], "signatureVerification": {"level": "strict"},
			"trustStores": ["ca:team"], "trustedIdentities": ["*"]}]}`, scenario.Demo.Host+"/scopes/team")}
	for _, c := range []struct {
		repository, signer string
		admitted           bool
		says               string
	}{
		{"scopes/team", "platform", false, "no trust store holds the issuer of CN=platform"},
		{"scopes/team", "team", true, "signed by CN=team"},
		{"scopes/other", "team", false, "no trust store holds the issuer of CN=team"},
		{"scopes/other", "platform", true, "signed by CN=platform"},
	} {
		image, err := e.push(ctx, scenario.Demo, c.repository)
		if err != nil {
			return err
		}
		if err := e.sign(ctx, c.signer, image); err != nil {
			return err
		}
		if err := e.agree(ctx, t, image, c.admitted, c.says); err != nil {
			return err
		}
	}
	return nil
}

func trustRotation(ctx context.Context, e *environment) error {
	images := map[string]image{}
	roots := map[string]signing.Identity{}
	for _, name := range []string{"old", "new"} {
		root, err := signing.Root("Rotating Root CA") // each with the same name
		if err != nil {
			return err
		}
		leaf, err := root.Leaf("signer of the "+name+" root", signing.Validity{})
		if err != nil {
			return err
		}
		if err := e.addIdentity(name, leaf); err != nil {
			return err
		}
		image, err := e.push(ctx, scenario.Demo, "rotation/"+name)
		if err != nil {
			return err
		}
		if err := e.sign(ctx, name, image); err != nil {
			return err
		}
		images[name], roots[name] = image, root
	}
	const unknown = "no trust store holds the issuer of CN=signer of the "
	for _, step := range []struct {
		anchors  string
		old, new bool
	}{
		{roots["old"].PEM(), true, false},
		{roots["old"].PEM() + roots["new"].PEM(), true, true},
		{roots["new"].PEM(), false, true},
	} {
		t := trust{policy: everywhere("strict", "ca:roots"), stores: map[string]string{"ca:roots": step.anchors}}
		for name, admitted := range map[string]bool{"old": step.old, "new": step.new} {
			says := "signature verified: signed by CN=signer of the "
			if !admitted {
				says = unknown
			}
			if err := e.agree(ctx, t, images[name], admitted, says+name+" root"); err != nil {
				return err
			}
		}
	}
	return nil
}

// trustSigningAuthority has a service sign, whose word is taken for the time (signature specification, "Signing Scheme"). The notation command
// does not sign so, but verifies.
func trustSigningAuthority(ctx context.Context, e *environment) error {
	service, err := signing.SelfSigned("service")
	if err != nil {
		return err
	}
	image, err := e.push(ctx, scenario.Demo, "authority/app")
	if err != nil {
		return err
	}
	payload, err := json.Marshal(map[string]any{"targetArtifact": image.desc})
	if err != nil {
		return err
	}
	signer, err := signature.NewLocalSigner(service.Chain, service.Key)
	if err != nil {
		return err
	}
	envelope, err := signature.NewEnvelope(signing.JWS)
	if err != nil {
		return err
	}
	signed, err := envelope.Sign(&signature.SignRequest{
		Payload:       signature.Payload{ContentType: "application/vnd.cncf.notary.payload.v1+json", Content: payload},
		Signer:        signer,
		SigningTime:   time.Now(),
		SigningScheme: signature.SigningSchemeX509SigningAuthority,
	})
	if err != nil {
		return err
	}
	if err := service.Attach(ctx, image.repo, image.desc, signing.JWS, signed); err != nil {
		return err
	}
	for _, c := range []struct {
		store    string
		admitted bool
		says     string
	}{
		{"signingAuthority:services", true, "signed by CN=service"},
		{"ca:services", false, "uses no trust store of type signingAuthority"},
	} {
		t := trust{policy: everywhere("strict", c.store), stores: map[string]string{c.store: service.PEM()}}
		if err := e.agree(ctx, t, image, c.admitted, c.says); err != nil {
			return err
		}
	}
	return nil
}
