package emulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

func TestPullsThatAreRefused(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "other"})
	push(t, cloud, demoID, demoHost+"/team/app")
	client := crClient(t, cloud, crHost, accessKey(t, cloud))
	good, other := password(t, client, demoID), password(t, client, "cri-other00000000001")
	wrong := good
	wrong.Password += "x"
	user := good
	user.Username = "somebody"
	tests := []struct {
		name       string
		credential auth.Credential
	}{
		{"anonymous", auth.EmptyCredential},
		{"wrong password", wrong},
		{"wrong user", user},
		{"another instance's password", other},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := repository(t, cloud.Transport(), demoHost+"/team/app", test.credential).Resolve(soon(t), "v1")
			var response *errcode.ErrorResponse
			if !errors.As(err, &response) || response.StatusCode != http.StatusUnauthorized {
				t.Errorf("error %v, want 401", err)
			}
		})
	}
	t.Run("a push", func(t *testing.T) {
		role := password(t, crClient(t, cloud, crHost, session(t, cloud, stsHost)), demoID)
		r := repository(t, cloud.Transport(), demoHost+"/team/app", role)
		if err := r.Push(soon(t), content.NewDescriptorFromBytes("application/octet-stream", []byte("x")), strings.NewReader("x")); err == nil {
			t.Error("the role, which may only pull, has pushed")
		}
	})
	t.Run("a token of another repository", func(t *testing.T) {
		token := bearer(t, cloud, good, demoID, "repository:team/other:pull")
		for path, want := range map[string]int{
			"/v2/":                        200,
			"/v2/team/app/manifests/v1":   401,
			"/v2/team/other/manifests/v1": 404,
			"/v2/_catalog":                401,
			"/other":                      404,
		} {
			if got := getWithBearer(t, cloud, demoHost, path, token); got.StatusCode != want {
				t.Errorf("%s: %s, want %d", path, got.Status, want)
			}
		}
		got := getWithBearer(t, cloud, "other-registry.cn-hangzhou.cr.aliyuncs.com", "/v2/", token)
		if got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Header.Get("WWW-Authenticate"), "invalid_token") {
			t.Errorf("another instance: %s %s", got.Status, got.Header)
		}
	})
}

func TestChallenge(t *testing.T) {
	cloud := start(t, emulator.Options{})
	got := getWithBearer(t, cloud, demoHost, "/v2/team/app/manifests/v1", "")
	want := `Bearer realm="https://dockerauth.cn-hangzhou.aliyuncs.com/auth",` +
		`service="registry.aliyuncs.com:cn-hangzhou:cri-demo000000000001",scope="repository:team/app:pull"`
	if challenge := got.Header.Get("WWW-Authenticate"); got.StatusCode != 401 || challenge != want {
		t.Errorf("got %s %s, want %s", got.Status, challenge, want)
	}
}

func TestTokenService(t *testing.T) {
	cloud := start(t, emulator.Options{})
	client := &http.Client{Transport: cloud.Transport()}
	t.Cleanup(client.CloseIdleConnections)
	service := "service=registry.aliyuncs.com:cn-hangzhou:" + demoID
	tests := []struct {
		method, url string
		want        int
	}{
		{http.MethodGet, "https://" + authHost + "/auth?" + service, 200},
		{http.MethodPost, "https://" + authHost + "/auth?" + service, 405},
		{http.MethodGet, "https://" + authHost + "/token?" + service, 404},
		{http.MethodGet, "https://" + authHost + "/auth?service=registry.aliyuncs.com:cn-hangzhou:cri-none000000000000", 400},
		{http.MethodGet, "https://dockerauth.cn-beijing.aliyuncs.com/auth?" + service, 400},
	}
	for _, test := range tests {
		request, err := http.NewRequestWithContext(soon(t), test.method, test.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != test.want {
			t.Errorf("%s %s: %s, want %d", test.method, test.url, response.Status, test.want)
		}
	}
}

// bearer asks the token service for a token.
func bearer(t *testing.T, cloud *emulator.Cloud, credential auth.Credential, instanceID, scope string) string {
	t.Helper()
	url := fmt.Sprintf("https://%s/auth?service=registry.aliyuncs.com:cn-hangzhou:%s&scope=%s", authHost, instanceID, scope)
	request, err := http.NewRequestWithContext(soon(t), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(credential.Username, credential.Password)
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token     string    `json:"token"`
		ExpiresIn int       `json:"expires_in"`
		IssuedAt  time.Time `json:"issued_at"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" || answer.ExpiresIn == 0 || answer.IssuedAt.IsZero() {
		t.Fatalf("%s: %+v, error %v", response.Status, answer, err)
	}
	return answer.Token
}

// getWithBearer returns the answer, whose body is closed.
func getWithBearer(t *testing.T, cloud *emulator.Cloud, host, path, token string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(soon(t), http.MethodGet, "https://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}
