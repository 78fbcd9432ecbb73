package cluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// pki is the cluster's keys and certificates, as files NAME.crt, NAME.key and USER.kubeconfig in a folder.
type pki struct {
	folder   string
	tokenKey *rsa.PrivateKey // of service account tokens: RSA, as ACK's
}

// leaf is a certificate of one of the cluster's authorities. The names and addresses make it a server's.
type leaf struct {
	name, issuer             string
	commonName, organization string
	dnsNames                 []string
	addresses                []string
}

// leaves are the certificates that kubeadm makes, too (Kubernetes documentation, "PKI certificates and requirements").
var leaves = []leaf{
	{name: "apiserver", issuer: "ca", commonName: "kube-apiserver", addresses: []string{"127.0.0.1", NodeIP, apiIP}, dnsNames: []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}},
	{name: "kubelet-client", issuer: "ca", commonName: "kube-apiserver-kubelet-client", organization: "system:masters"},
	{name: "front-proxy-client", issuer: "front-proxy-ca", commonName: "front-proxy-client"},
	{name: "admin", issuer: "ca", commonName: "admin", organization: "system:masters"},
	{name: "controller-manager", issuer: "ca", commonName: "system:kube-controller-manager"},
	{name: "scheduler", issuer: "ca", commonName: "system:kube-scheduler"},
	{name: "kube-proxy", issuer: "ca", commonName: "system:kube-proxy"},
	{name: "kubelet", issuer: "ca", commonName: "system:node:" + nodeName, organization: "system:nodes"},
	{name: "kubelet-server", issuer: "ca", commonName: "system:node:" + nodeName, organization: "system:nodes",
		dnsNames: []string{nodeName}, addresses: []string{NodeIP, "127.0.0.1"}},
}

// users are the leaves that are clients of the API server with a kubeconfig.
var users = []string{"admin", "controller-manager", "scheduler", "kube-proxy", "kubelet"}

func newPKI(folder string) (*pki, error) {
	p := &pki{folder: folder}
	authorities := make(map[string]signing.Identity)
	for _, name := range []string{"ca", "front-proxy-ca"} {
		authority, err := signing.Root(name)
		if err != nil {
			return nil, err
		}
		authorities[name] = authority
		if err := p.write(name, authority); err != nil {
			return nil, err
		}
	}
	for _, l := range leaves {
		identity, err := authorities[l.issuer].Issue(l.name, l.options())
		if err != nil {
			return nil, err
		}
		if err := p.write(l.name, identity); err != nil {
			return nil, err
		}
	}
	for _, user := range users {
		if err := p.writeKubeconfig(user); err != nil {
			return nil, err
		}
	}
	var err error
	if p.tokenKey, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	return p, p.writeKey("sa.key", p.tokenKey)
}

func (l leaf) options() signing.Options {
	usage := x509.ExtKeyUsageClientAuth
	if len(l.addresses) > 0 {
		usage = x509.ExtKeyUsageServerAuth
	}
	subject := pkix.Name{CommonName: l.commonName}
	if l.organization != "" {
		subject.Organization = []string{l.organization}
	}
	return signing.Options{Subject: &subject, ExtKeyUsage: []x509.ExtKeyUsage{usage}, Change: func(cert *x509.Certificate) {
		cert.DNSNames = l.dnsNames
		for _, address := range l.addresses {
			cert.IPAddresses = append(cert.IPAddresses, net.ParseIP(address))
		}
	}}
}

func (p *pki) file(name string) string { return filepath.Join(p.folder, name) }

func (p *pki) write(name string, i signing.Identity) error {
	if err := os.WriteFile(p.file(name+".crt"), []byte(i.PEM()), 0o600); err != nil {
		return err
	}
	return p.writeKey(name+".key", i.Key)
}

func (p *pki) writeKey(name string, key any) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(p.file(name), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func (p *pki) writeKubeconfig(user string) error {
	type object = map[string]any
	content, err := json.MarshalIndent(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "e2e",
		"clusters": []any{object{"name": "e2e", "cluster": object{"server": "https://" + apiAddress, "certificate-authority": p.file("ca.crt")}}},
		"users":    []any{object{"name": user, "user": object{"client-certificate": p.file(user + ".crt"), "client-key": p.file(user + ".key")}}},
		"contexts": []any{object{"name": "e2e", "context": object{"cluster": "e2e", "user": user}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(p.file(user+".kubeconfig"), content, 0o600)
}
