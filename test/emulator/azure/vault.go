package azure

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"strings"
)

// The kinds of a vault's objects. Each certificate has a secret of its name, which holds its chain.
const (
	secrets      = "secrets"
	certificates = "certificates"
	keys         = "keys"
)

// object is a version of a secret, a certificate or a key.
type object struct {
	version  string
	disabled bool
	body     map[string]any
}

// AddCertificate puts a certificate's chain into the vault, in PEM, as Key Vault keeps those that were made with that content type.
func (c *Cloud) AddCertificate(name, version, chain string, disabled bool) {
	c.add(secrets, name, object{version: version, disabled: disabled, body: map[string]any{"value": chain, "contentType": "application/x-pem-file"}})
	c.add(certificates, name, object{version: version, disabled: disabled, body: map[string]any{"kid": id(keys, name, version)}})
}

// AddKey puts a public key into the vault, RSA or EC.
func (c *Cloud) AddKey(name, version string, key crypto.PublicKey, disabled bool) error {
	web := map[string]any{"kid": id(keys, name, version), "key_ops": []string{"verify"}}
	number := func(n *big.Int, size int) string {
		return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		web["kty"], web["n"], web["e"] = "RSA", number(key.N, key.Size()), base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, x, y
		if err != nil {
			return err
		}
		size := (len(point) - 1) / 2
		web["kty"], web["crv"] = "EC", key.Curve.Params().Name
		web["x"], web["y"] = base64.RawURLEncoding.EncodeToString(point[1:1+size]), base64.RawURLEncoding.EncodeToString(point[1+size:])
	default:
		return fmt.Errorf("a vault has no keys such as %T", key)
	}
	c.add(keys, name, object{version: version, disabled: disabled, body: map[string]any{"key": web}})
	return nil
}

func (c *Cloud) add(kind, name string, o object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[kind+"/"+name] = append(c.objects[kind+"/"+name], o)
}

func id(kind, name, version string) string {
	return "https://" + VaultHost + "/" + kind + "/" + name + "/" + version
}

// vault is https://learn.microsoft.com/rest/api/keyvault/: the latest version of an object, or one by name.
func (c *Cloud) vault(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fail := func(status int, code string, inner string) {
		problem := map[string]any{"code": code, "message": code}
		if inner != "" {
			problem["innererror"] = map[string]any{"code": inner}
		}
		answer(w, status, map[string]any{"error": problem})
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if c.access[token] != vaultAudience {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="https://%s/%s", resource=%q`, LoginHost, TenantID, vaultAudience))
		fail(http.StatusUnauthorized, "Unauthorized", "")
		return
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 2 || r.Method != http.MethodGet || r.URL.Query().Get("api-version") == "" {
		fail(http.StatusBadRequest, "BadParameter", "")
		return
	}
	kind, name := parts[0], parts[1]
	version := strings.Join(parts[2:], "/")
	var (
		o     object
		found bool
	)
	for _, one := range c.objects[kind+"/"+name] { // the last is the latest
		if version == "" || version == one.version {
			o, found = one, true
		}
	}
	switch {
	case !found:
		fail(http.StatusNotFound, map[string]string{secrets: "SecretNotFound", certificates: "CertificateNotFound", keys: "KeyNotFound"}[kind], "")
	case kind == secrets && o.disabled: // keys and certificates can be read all the same
		fail(http.StatusForbidden, "Forbidden", "SecretDisabled")
	default:
		body := map[string]any{"id": id(kind, name, o.version), "attributes": map[string]any{"enabled": !o.disabled, "created": 1, "updated": 1}}
		for key, value := range o.body {
			body[key] = value
		}
		answer(w, http.StatusOK, body)
	}
}
