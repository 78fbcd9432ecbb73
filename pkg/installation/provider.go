package installation

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// callTimeout bounds one call, to the server or the API server.
	callTimeout = 5 * time.Second
	// maxAnswer bounds the server's answer, which is about no image and has 200 bytes.
	maxAnswer = 64 << 10
)

// providerKind is Gatekeeper's; providers are the names in Ratify's chart.
var (
	providerKind = schema.GroupVersionKind{Group: "externaldata.gatekeeper.sh", Version: "v1beta1", Kind: "Provider"}
	providers    = []string{"ratify-provider", "ratify-mutation-provider"}
)

// question asks about no image, so that no registry and no trust is needed for an answer.
const question = `{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderRequest", "request": {"keys": []}}`

// checkProviders asks the servers that Gatekeeper's Providers name, as Gatekeeper does.
func checkProviders(ctx context.Context, reader client.Reader) []Finding {
	var found []Finding
	for i, name := range providers {
		provider := &unstructured.Unstructured{}
		provider.SetGroupVersionKind(providerKind)
		err := reader.Get(ctx, types.NamespacedName{Name: name}, provider)
		if apierrors.IsNotFound(err) && i > 0 {
			continue // the one for mutation is only there if it is wanted
		}
		note := ""
		if err == nil {
			note, err = ask(ctx, provider)
		}
		found = append(found, Finding{About: "Provider " + name, Note: note, Err: err})
	}
	return found
}

// ask asks the server of a Provider.
func ask(ctx context.Context, provider *unstructured.Unstructured) (note string, err error) {
	url, _, _ := unstructured.NestedString(provider.Object, "spec", "url")
	bundle, _, _ := unstructured.NestedString(provider.Object, "spec", "caBundle")
	content, err := base64.StdEncoding.DecodeString(bundle)
	if err != nil {
		return "", fmt.Errorf("spec.caBundle is not base64: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(content) {
		return "", errors.New("spec.caBundle has no certificate in PEM")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewBufferString(question))
	if err != nil {
		return "", fmt.Errorf("spec.url: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	// Neither a proxy nor a connection that is kept comes between: Gatekeeper has none.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		if wantsCertificate(err) {
			return "the server is the one that the Provider names; it answers clients with a certificate only", nil
		}
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		if wantsCertificate(err) {
			return "the server is the one that the Provider names; it answers clients with a certificate only", nil
		}
		return "", fmt.Errorf("ask %s: %w", url, err)
	}
	var answer struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || response.StatusCode != http.StatusOK || answer.Kind != "ProviderResponse" {
		return "", fmt.Errorf("ask %s: the answer is %s and no ProviderResponse: is something else at that address?", url, response.Status)
	}
	return "", nil
}

// wantsCertificate tells whether a server ended the connection for want of a client certificate. By then its own certificate was verified. The
// type of the error is not exported by crypto/tls; the text is that of the alert in RFC 8446, section 6.
func wantsCertificate(err error) bool {
	return strings.HasSuffix(err.Error(), "tls: certificate required")
}
