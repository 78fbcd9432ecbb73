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
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/wholefile"
)

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
	signer   *kms.Signer // nil as long as the key is not known
}

func (d *doctor) run(ctx context.Context, pluginConfig map[string]string) {
	if !d.environment(pluginConfig) {
		for _, subject := range []string{"credentials", "endpoint", "key", "signature", "certificate"} {
			d.line(skip, subject, "the settings cannot be read")
		}
		return
	}
	d.credentials()
	d.endpoints(ctx)
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
	d.certificate(ctx)
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

func (d *doctor) credentials() {
	client, err := d.settings.Client()
	if err != nil {
		d.line(fail, "credentials", "%v", err)
		return
	}
	d.client = client
	d.line(ok, "credentials", "%s: %s", d.settings.CredentialType, client)
}

// endpoints checks that the hosts are reached, and their clocks.
func (d *doctor) endpoints(ctx context.Context) {
	d.reached = true
	var clock time.Time
	for _, host := range d.hosts() {
		date, verified, err := d.probe(ctx, host)
		if err != nil {
			d.line(fail, "endpoint", "%v", err)
			d.reached = false
			continue
		}
		d.line(ok, "endpoint", "%s is reached, TLS verified with %s", host, verified)
		clock = date
	}
	d.clock(clock)
}

// probe asks a host for the time, and tells what the host was verified with.
func (d *doctor) probe(ctx context.Context, host string) (date time.Time, verified string, err error) {
	var ca []byte
	verified = "the system's authorities"
	if path := os.Getenv(settings.EnvCAFile); path != "" && !strings.HasPrefix(host, sharedPrefix) && !strings.HasPrefix(host, sharedVPCPrefix) {
		verified = "that in " + settings.EnvCAFile
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
		d.line(fail, "clock", "this machine's is off by %s: KMS says %s; set it by NTP, as KMS refuses requests and verifiers certificates of another time",
			ahead.Abs(), theirs.UTC().Format(time.RFC3339))
	default:
		d.line(ok, "clock", "within %s of that of KMS", maxSkew)
	}
}

// What the hosts of shared gateways begin with.
const (
	sharedPrefix    = "kms."
	sharedVPCPrefix = "kms-vpc."
)

// hosts are those that signing needs. A dedicated instance does not describe its keys to RAM identities; the region's shared gateway does.
func (d *doctor) hosts() []string {
	s := d.settings
	shared := sharedPrefix + s.Region + ".aliyuncs.com"
	if s.Network == kms.NetworkVPC || s.Network == "" && rrsa.FromEnv().VPC {
		shared = sharedVPCPrefix + s.Region + ".aliyuncs.com"
	}
	if s.Endpoint == "" {
		return []string{shared}
	}
	own := strings.TrimSuffix(strings.TrimPrefix(s.Endpoint, "https://"), "/")
	if s.ByClientKey() || !strings.HasSuffix(own, ".cryptoservice.kms.aliyuncs.com") {
		return []string{own}
	}
	return []string{own, shared}
}

// key checks that the key is one that can sign, and that it does.
func (d *doctor) key(ctx context.Context) {
	d.described(ctx)
	signer, err := kms.NewSigner(ctx, d.client, d.keyID, d.settings.KeyVersion)
	if err != nil {
		d.line(fail, "public key", "%v", err)
		d.line(skip, "signature", "the public key is not known")
		return
	}
	d.signer = signer
	public := signer.PublicKey()
	if _, err := public.Spec.NotationAlgorithm(); err != nil {
		d.line(fail, "public key", "%v", err)
		d.line(skip, "signature", "Notation has none by such a key")
		return
	}
	version := "version " + public.Version
	if public.Version == "" {
		version = "newest version"
	}
	d.line(ok, "public key", "%s, %s", public.Spec, version)
	d.signature(ctx, signer)
}

// described checks what KMS tells of the key.
func (d *doctor) described(ctx context.Context) {
	key, err := d.client.DescribeKey(ctx, d.keyID)
	switch {
	case err != nil:
		d.line(fail, "key", "%v", err)
	case key.State != "" && key.State != "Enabled":
		d.line(fail, "key", "%s is in state %s; enable it in the KMS console, or use another key", key.ID, key.State)
	case key.Usage != "" && key.Usage != "SIGN/VERIFY":
		d.line(fail, "key", "%s is for %s; create one for SIGN/VERIFY", key.ID, key.Usage)
	case key.State == "":
		d.line(ok, "key", "%s; its state is not told to client keys", key.ID)
	default:
		d.line(ok, "key", "%s, %s, %s", key.ID, key.State, key.Usage)
	}
}

// signature has KMS sign a random digest.
func (d *doctor) signature(ctx context.Context, signer *kms.Signer) {
	digest := make([]byte, sha256.Size)
	rand.Read(digest)
	var opts crypto.SignerOpts = crypto.SHA256
	if _, isRSA := signer.Public().(*rsa.PublicKey); isRSA {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	if _, err := signer.SignContext(ctx, digest, opts); err != nil {
		d.line(fail, "signature", "%v", err)
		return
	}
	d.line(ok, "signature", "made by KMS for a random digest, and verified here")
}
