package doctor

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/wholefile"
)

// warnBefore leaves time to have another client key made.
const warnBefore = 30 * 24 * time.Hour

// ErrFound is wrapped by the error of Run if a check failed.
var ErrFound = errors.New("not all is well")

// Run checks what signing with a key needs, in the order in which signing needs it, and writes one line for each check. An empty keyID leaves
// out the checks of the key. After a failure it goes on with what can be checked nevertheless.
func Run(ctx context.Context, w io.Writer, keyID string, pluginConfig map[string]string) error {
	d := &doctor{report: report{w: w}, keyID: keyID, now: time.Now()}
	d.run(ctx, pluginConfig)
	if d.failed > 0 {
		return fmt.Errorf("%w: %d of %d checks failed", ErrFound, d.failed, d.checks)
	}
	return nil
}

// doctor is one visit.
type doctor struct {
	report
	keyID    string
	now      time.Time
	settings *settings.Settings
	client   kms.Client
	reached  bool        // whether all hosts answer
	there    there       // the certificates
	signer   *kms.Signer // of the key; nil if it cannot make Notation signatures
}

func (d *doctor) run(ctx context.Context, pluginConfig map[string]string) {
	if !d.environment(pluginConfig) {
		for _, subject := range []string{"credentials", "endpoint", "key", "signature", "certificate"} {
			d.line(skip, subject, "the settings cannot be read")
		}
		return
	}
	d.credentials(ctx)
	d.endpoints(ctx)
	d.there = d.look(ctx)
	switch {
	case d.keyID == "":
		d.line(skip, "key", "give the key with --id")
	case d.client == nil:
		d.line(skip, "key", "there are no credentials")
	case !d.reached:
		d.line(skip, "key", "KMS cannot be reached")
	default:
		d.key(ctx)
	}
	d.certificate()
}

// environment reads the settings. Values are not printed: some are secret.
func (d *doctor) environment(pluginConfig map[string]string) bool {
	var err error
	if d.settings, err = settings.Parse(pluginConfig); err != nil {
		d.line(fail, "environment", "%v", err)
		return false
	}
	var set []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if value != "" && about(name) {
			set = append(set, name)
		}
	}
	slices.Sort(set)
	if len(set) == 0 {
		set = []string{"no variable of Alibaba Cloud or of proxies is set"}
	}
	d.line(ok, "environment", "%s", strings.Join(set, ", "))
	return true
}

// about tells whether a variable changes how KMS is asked.
func about(name string) bool {
	return strings.HasPrefix(name, "ALIBABA") || strings.HasPrefix(name, "ALICLOUD_") ||
		slices.Contains([]string{"HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}, strings.ToUpper(name))
}

// credentials checks that there are some, which for RAM identities may take a call of STS.
func (d *doctor) credentials(ctx context.Context) {
	client, err := d.settings.Client()
	if err != nil {
		d.line(fail, "credentials", "%v", err)
		return
	}
	key, is := client.(*kms.ClientKey)
	if !is {
		whose, err := d.identity(ctx)
		if err != nil {
			d.line(fail, "credentials", "%v", err)
			return
		}
		d.client = client
		d.line(ok, "credentials", "%s", whose)
		return
	}
	d.client = client
	if key.Expires().Sub(d.now) < warnBefore {
		d.line(warn, "credentials", "%s ends on %s; have another one made at the application access point in the KMS console", key, key.Expires().UTC().Format(time.RFC3339))
		return
	}
	d.line(ok, "credentials", "%s, valid until %s", key, key.Expires().UTC().Format(time.RFC3339))
}

// identity gets credentials as the client does, and tells whose they are.
func (d *doctor) identity(ctx context.Context) (string, error) {
	source, err := d.settings.Identity()
	if err != nil {
		return "", err
	}
	_, err = source.Credential(ctx)
	return source.String(), err
}

// endpoints checks that the hosts are reached, and their clocks.
func (d *doctor) endpoints(ctx context.Context) {
	d.reached = true
	var clock time.Time
	for i, host := range d.hosts() {
		date, verified, err := d.probe(ctx, host, i == 0 && d.settings.Endpoint != "")
		if err != nil {
			if i > 0 {
				err = fmt.Errorf("%w; or set %s, with which the instance is enough", err, settings.Key("key_version"))
			}
			d.line(fail, "endpoint", "%v", err)
			d.reached = false
			continue
		}
		d.line(ok, "endpoint", "%s is reached, TLS verified with %s", host, verified)
		clock = date
	}
	d.clock(clock)
}

// probe asks a host for the time, and tells what the host was verified with. own is that of the endpoint that was set.
func (d *doctor) probe(ctx context.Context, host string, own bool) (date time.Time, verified string, err error) {
	var ca []byte
	verified = "the system's authorities"
	if path := d.settings.CAFile(); path != "" && own {
		verified = settings.EnvCAFile
		if ca, err = wholefile.Read(path); err != nil {
			return time.Time{}, "", fmt.Errorf("%s: %s: %w", host, settings.EnvCAFile, err)
		}
	}
	date, err = probe(ctx, host, ca)
	return date, verified, err
}

func (d *doctor) clock(theirs time.Time) {
	ahead := d.now.Sub(theirs).Round(time.Second)
	switch {
	case theirs.IsZero():
		d.line(skip, "clock", "no host told the time")
	case ahead.Abs() > maxSkew:
		d.line(fail, "clock", "this machine's is off by %s: KMS says %s; set it by NTP, or KMS will refuse requests, and verifiers certificates",
			ahead.Abs(), theirs.UTC().Format(time.RFC3339))
	default:
		d.line(ok, "clock", "agrees with that of KMS")
	}
}

// hosts are those that signing needs. A dedicated instance does not tell RAM identities of its keys and their versions; the region's shared gateway
// does.
func (d *doctor) hosts() []string {
	s := d.settings
	shared := kms.SharedHost(s.Region, s.Network)
	if s.Endpoint == "" {
		return []string{shared}
	}
	own := strings.TrimSuffix(strings.TrimPrefix(s.Endpoint, "https://"), "/")
	name, _, _ := strings.Cut(own, ":")
	if s.ByClientKey() || s.KeyVersion != "" || !strings.HasSuffix(name, ".cryptoservice.kms.aliyuncs.com") {
		return []string{own}
	}
	return []string{own, shared}
}

// key checks that the key is one that can sign, and that it does.
func (d *doctor) key(ctx context.Context) {
	if !d.described(ctx) {
		d.line(skip, "public key", "the key cannot be used")
		d.line(skip, "signature", "the key cannot be used")
		return
	}
	signer, err := kms.NewSigner(ctx, d.client, d.keyID, d.settings.Version(d.keyID, d.there.origin))
	if errors.Is(err, kms.ErrNotFound) && !d.given() { // an alias is another key's now: signing makes the same try
		signer, err = kms.NewSigner(ctx, d.client, d.keyID, d.settings.KeyVersion)
	}
	if err == nil {
		_, err = signer.PublicKey().Spec.NotationAlgorithm()
	}
	if err != nil {
		d.line(fail, "public key", "%v", err)
		d.line(skip, "signature", "there is no public key to verify it with")
		return
	}
	d.signer = signer
	version := "the newest version"
	if v := signer.PublicKey().Version; v != "" {
		version = "version " + v
	}
	d.line(ok, "public key", "%s, %s", signer.PublicKey().Spec, version)
	d.signature(ctx)
}

// described checks what KMS tells of the key. It returns whether signing is worth a try.
func (d *doctor) described(ctx context.Context) bool {
	if d.settings.ByClientKey() {
		d.line(skip, "key", "its state and usage are not told to client keys")
		return true
	}
	if d.settings.KeyVersion != "" {
		d.line(skip, "key", "its state and usage are not asked for if its version is given")
		return true
	}
	key, err := d.client.DescribeKey(ctx, d.keyID)
	switch {
	case err != nil && d.given():
		d.line(warn, "key", "signing with ca_certs or cert_secret does without, but: %v", err)
		return true
	case err != nil:
		d.line(fail, "key", "%v", err)
		return errors.Is(err, kms.ErrDenied) // that right is one of its own
	case key.State != "" && key.State != "Enabled":
		d.line(fail, "key", "%s is in state %s; see its page in the KMS console, or use another key", key.ID, key.State)
		return false
	case key.Usage != "" && key.Usage != "SIGN/VERIFY":
		d.line(fail, "key", "%s is for %s; use a key for SIGN/VERIFY", key.ID, key.Usage)
		return false
	}
	d.line(ok, "key", "%s, %s, %s", key.ID, key.State, key.Usage)
	return true
}

// signature has KMS sign a random digest.
func (d *doctor) signature(ctx context.Context) {
	digest := make([]byte, sha256.Size)
	rand.Read(digest)
	var opts crypto.SignerOpts = crypto.SHA256
	if _, isRSA := d.signer.Public().(*rsa.PublicKey); isRSA {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	if _, err := d.signer.SignContext(ctx, digest, opts); err != nil {
		d.line(fail, "signature", "%v", err)
		return
	}
	d.line(ok, "signature", "made by KMS for a random digest, and verified here")
}
