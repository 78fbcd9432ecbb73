package commands

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"regexp"
	"sync"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

const (
	instance = "kst-hzz0000000000001"
	rsaID    = "key-rsa"
	ecID     = "key-ec"
	ecAlias  = "alias/signer"
)

// world is a cloud with a KMS that holds keys of ours, and a terminal of one who signs.
type world struct {
	terminal
	cloud *emulator.Cloud
	rsa   crypto.Signer // rsaID
	ec    crypto.Signer // ecID, ecAlias
}

// newWorld returns a world whose terminal has a client key, or the environment of a pod.
func newWorld(t *testing.T, clientKey bool) world {
	t.Helper()
	cloud := emulatortest.Start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(instance, ""); err != nil {
		t.Fatal(err)
	}
	w := world{newTerminal(t, cloud.PodEnv()...), cloud, rsaKey(t), newEC(t)}
	w.addKey(t, kms.KeyOptions{ID: rsaID, Spec: "RSA_2048", Instance: instance, Material: w.rsa})
	w.addKey(t, kms.KeyOptions{ID: ecID, Spec: "EC_P256", Instance: instance, Alias: ecAlias, Material: w.ec})
	if clientKey {
		file, password, err := cloud.KMS().AddClientKey(instance)
		if err != nil {
			t.Fatal(err)
		}
		w.write(t, "clientKey.json", file)
		w.write(t, "PrivateKmsCA.pem", cloud.KMSInstanceCA(instance))
		w.env = append(w.env, "ALIBABA_CLOUD_KMS_INSTANCE_ENDPOINT="+instance+".cryptoservice.kms.aliyuncs.com",
			"ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH=clientKey.json", "ALIBABA_CLOUD_KMS_PASSWORD="+password, "ALIBABA_CLOUD_KMS_CA_FILEPATH=PrivateKmsCA.pem")
	}
	return w
}

func (w world) addKey(t *testing.T, o kms.KeyOptions) {
	t.Helper()
	if _, err := w.cloud.KMS().AddKey(o); err != nil {
		t.Fatal(err)
	}
}

// rsaKey returns the same key each time, as making one is slow.
func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := anRSAKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var anRSAKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newEC(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// same replaces what differs each time.
func same(text string) string {
	for pattern, with := range map[string]string{
		`(?i)(serial(?: number)?:? +)[0-9a-f]{8,}`: "${1}<serial>",
		`(SHA-256: +)[0-9a-f]{64}`:                 "${1}<fingerprint>",
		`version [0-9a-z]{26}`:                     "version <version>",
		`\d+ days left`:                            "<n> days left",
		`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`:         "<time>",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return text
}
