package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The row for the SKA Observatory's "OCI Images Signature Management".
var skaRows = []row{
	{"SKA", "openssl root, intermediate, leaf; only the root trusted", skaChain},
}

// skaConfig is openssl's configuration of an authority. The guide names its sections but does not show the files.
func skaConfig(folder, cert, key, commonName string) string {
	return fmt.Sprintf(`
[ ca ]
default_ca = default
[ default ]
new_certs_dir = %[1]s/newcerts
database      = %[1]s/index.txt
serial        = %[1]s/serial
certificate   = %[2]s
private_key   = %[3]s
policy        = policy
[ policy ]
countryName      = supplied
stateOrProvinceName = supplied
organizationName = supplied
commonName       = supplied
[ req ]
prompt             = no
distinguished_name = name
[ name ]
C  = GB
ST = Cheshire
O  = SKAO
CN = %[4]s
[ v3_ca ]
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints       = critical, CA:true
keyUsage               = critical, digitalSignature, cRLSign, keyCertSign
[ v3_intermediate_ca ]
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints       = critical, CA:true, pathlen:0
keyUsage               = critical, digitalSignature, cRLSign, keyCertSign
[ v3_signer ]
basicConstraints       = critical, CA:false
subjectKeyIdentifier   = hash
authorityKeyIdentifier = keyid,issuer
keyUsage               = critical, digitalSignature
extendedKeyUsage       = codeSigning
`, folder, cert, key, commonName)
}

// skaScript are the guide's commands, but for -batch, and for -aes256 with genrsa: notation does not read encrypted keys.
const skaScript = `
	genrsa -out ca.key 4096
	req -config openssl.cnf -key ca.key -new -x509 -days 36500 -sha256 -extensions v3_ca -out ca.pem
	genrsa -out oci.interm.key 4096
	req -config interm.openssl.cnf -new -sha256 -key oci.interm.key -out oci.interm.csr
	ca -batch -config openssl.cnf -extensions v3_intermediate_ca -days 3650 -notext -md sha256 -in oci.interm.csr -out oci.interm.pem
	genrsa -out oci.signer.key 4096
	req -config signer.openssl.cnf -new -sha256 -key oci.signer.key -out oci.signer.csr
	ca -batch -config intermediate.openssl.cnf -extensions v3_signer -days 365 -notext -md sha256 -in oci.signer.csr -out oci.signer.pem
`

// skaMake makes the root, the intermediate and the signer, and returns the root.
func skaMake(ctx context.Context, e *environment) (root string, err error) {
	for name, content := range map[string]string{
		"openssl.cnf":              skaConfig("root-ca", "ca.pem", "ca.key", "SKAO OCI Root CA"),
		"interm.openssl.cnf":       skaConfig("root-ca", "ca.pem", "ca.key", "SKAO OCI Intermediate CA"),
		"intermediate.openssl.cnf": skaConfig("intermediate-ca", "oci.interm.pem", "oci.interm.key", "SKAO OCI Intermediate CA"),
		"signer.openssl.cnf":       skaConfig("intermediate-ca", "oci.interm.pem", "oci.interm.key", "SKAO OCI Signer"),
		"root-ca/index.txt":        "", "root-ca/serial": "1000\n", "root-ca/newcerts/none": "",
		"intermediate-ca/index.txt": "", "intermediate-ca/serial": "1000\n", "intermediate-ca/newcerts/none": "",
	} {
		if _, err := e.write(name, []byte(content)); err != nil {
			return "", err
		}
	}
	if err := e.openssl(ctx, skaScript); err != nil {
		return "", err
	}
	chain, err := e.concatenate("oci.fullchain.pem", "oci.signer.pem", "oci.interm.pem", "ca.pem")
	if err != nil {
		return "", err
	}
	if err := e.addKey("skao-oci", filepath.Join(e.dir, "oci.signer.key"), chain); err != nil {
		return "", err
	}
	return e.read("ca.pem")
}

func skaChain(ctx context.Context, e *environment) error {
	root, err := skaMake(ctx, e)
	if err != nil {
		return err
	}
	policy := fmt.Sprintf(`{"version": "1.0", "trustPolicies": [{"name": "all", "registryScopes": [%q], "signatureVerification": {"level": "strict"},
		"trustStores": ["ca:skao-oci"], "trustedIdentities": ["*"]}]}`, scenario.Demo.Host+"/ska/telescope")
	t := trust{policy: policy, stores: map[string]string{"ca:skao-oci": root}}
	telescope, err := e.push(ctx, scenario.Demo, "ska/telescope")
	if err != nil {
		return err
	}
	if err := skaWithoutIntermediate(ctx, e, t, telescope); err != nil {
		return err
	}
	if err := e.sign(ctx, "skao-oci", telescope); err != nil {
		return err
	}
	if err := e.agree(ctx, t, telescope, true, "CN=SKAO OCI Signer"); err != nil {
		return err
	}
	outside, err := e.push(ctx, scenario.Demo, "ska/outside")
	if err != nil {
		return err
	}
	if err := e.sign(ctx, "skao-oci", outside); err != nil {
		return err
	}
	if err := e.agree(ctx, t, outside, false, "no trust policy of the verifier covers the repository "+scenario.Demo.Host+"/ska/outside"); err != nil {
		return err
	}
	stranger, err := signing.Root("SKAO OCI Root CA")
	if err != nil {
		return err
	}
	t.stores = map[string]string{"ca:skao-oci": stranger.PEM()}
	return e.agree(ctx, t, telescope, false, "no trust store holds the issuer of CN=SKAO OCI Signer")
}

// skaWithoutIntermediate has an image's only signature come without the intermediate's certificate. The notation command would not make that, but the
// chain is not signed: it can be taken out afterwards.
func skaWithoutIntermediate(ctx context.Context, e *environment, t trust, i image) error {
	text, err := e.read("oci.fullchain.pem")
	if err != nil {
		return err
	}
	chain, err := pemfile.Certificates([]byte(text))
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(e.dir, "oci.signer.pem"), filepath.Join(e.dir, "oci.signer.key"))
	if err != nil {
		return err
	}
	signer := signing.Identity{Key: pair.PrivateKey.(crypto.Signer), Chain: chain}
	envelope, err := signer.Envelope(i.desc, signing.JWS, time.Now())
	if err != nil {
		return err
	}
	var fields map[string]any
	if err := json.Unmarshal(envelope, &fields); err != nil {
		return err
	}
	header := fields["header"].(map[string]any)
	header["x5c"] = [][]byte{chain[0].Raw, chain[2].Raw}
	if envelope, err = json.Marshal(fields); err != nil {
		return err
	}
	if err := signer.Attach(ctx, i.repo, i.desc, signing.JWS, envelope); err != nil {
		return err
	}
	return e.agree(ctx, t, i, false, "is not issued by", "CN=SKAO OCI Root CA")
}
