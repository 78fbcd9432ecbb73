package emulator_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	cr "github.com/alibabacloud-go/cr-20181201/v2/client"
	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// refusedWith checks that the SDK reports an error of the cloud.
func refusedWith(t *testing.T, err error, status int, code string) {
	t.Helper()
	var refusal *tea.SDKError
	if !errors.As(err, &refusal) {
		t.Errorf("error %v (%T), want one of the cloud", err, err)
		return
	}
	if tea.IntValue(refusal.StatusCode) != status || tea.StringValue(refusal.Code) != code {
		t.Errorf("got %d %s (%s), want %d %s", tea.IntValue(refusal.StatusCode), tea.StringValue(refusal.Code),
			tea.StringValue(refusal.Message), status, code)
	}
	if !strings.Contains(tea.StringValue(refusal.Data), "RequestId") {
		t.Errorf("no RequestId in %s", tea.StringValue(refusal.Data))
	}
}

func getToken(client *cr.Client, instanceID string) (*cr.GetAuthorizationTokenResponse, error) {
	return client.GetAuthorizationToken(&cr.GetAuthorizationTokenRequest{InstanceId: tea.String(instanceID)})
}

func TestSignaturesAndSessions(t *testing.T) {
	now := testclock.At(time.Now())
	cloud := start(t, emulator.Options{Now: now.Now})
	id, secret := cloud.AddAccessKey()
	live, err := session(t, cloud, stsHost).GetCredential()
	if err != nil {
		t.Fatal(err)
	}
	key, hidden, token := tea.StringValue(live.AccessKeyId), tea.StringValue(live.AccessKeySecret), tea.StringValue(live.SecurityToken)
	tests := []struct {
		name       string
		credential credentials.Credential
		after      time.Duration // the client's clock goes wrong by this
		status     int
		code       string
	}{
		{"wrong secret", static(t, id, secret+"x", ""), 0, 400, "SignatureDoesNotMatch"},
		{"unknown key", static(t, "LTAI5tUnknown", secret, ""), 0, 404, "InvalidAccessKeyId.NotFound"},
		{"key with a token", static(t, id, secret, token), 0, 400, "InvalidSecurityToken.Malformed"},
		{"session without its token", static(t, key, hidden, ""), 0, 400, "MissingSecurityToken"},
		{"session with another token", static(t, key, hidden, token+"x"), 0, 400, "InvalidSecurityToken.MismatchWithAccessKey"},
		{"session with another secret", static(t, key, secret, token), 0, 400, "SignatureDoesNotMatch"},
		{"clock slow", static(t, id, secret, ""), 16 * time.Minute, 400, "InvalidTimeStamp.Expired"},
		{"clock fast", static(t, id, secret, ""), -16 * time.Minute, 400, "InvalidTimeStamp.Expired"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			now.Advance(test.after)
			defer now.Advance(-test.after)
			_, err := getToken(crClient(t, cloud, crHost, test.credential), demoID)
			refusedWith(t, err, test.status, test.code)
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), hidden)) {
				t.Errorf("a secret in %v", err)
			}
		})
	}
	password(t, crClient(t, cloud, crHost, static(t, key, hidden, token)), demoID)
	password(t, crClient(t, cloud, crHost, static(t, id, secret, "")), demoID)
}

// recorder keeps the last request of an SDK client, and sends it through the cloud's transport.
type recorder struct {
	transport *http.Transport
	last      *http.Request
	body      []byte
}

func (r *recorder) Call(request *http.Request, _ *http.Transport) (*http.Response, error) {
	if request.Body != nil {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		r.body, request.Body = body, io.NopCloser(bytes.NewReader(body))
	}
	r.last = request.Clone(request.Context())
	clear(r.last.Header) // the SDK writes names in lower case, which Header.Set would not replace
	for name, values := range request.Header {
		r.last.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r.transport.RoundTrip(request)
}

func TestForgedRequests(t *testing.T) {
	cloud := start(t, emulator.Options{})
	recorded := &recorder{transport: cloud.Transport()}
	t.Cleanup(recorded.transport.CloseIdleConnections)
	client, err := cr.NewClient(&openapi.Config{
		Credential: accessKey(t, cloud), Endpoint: tea.String(crHost), HttpClient: recorded,
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		change func(*http.Request)
		code   string
	}{
		{"replayed", func(*http.Request) {}, "SignatureNonceUsed"},
		{"another instance", func(r *http.Request) { r.URL.RawQuery = "InstanceId=cri-other00000000001" }, "SignatureDoesNotMatch"},
		{"another action", func(r *http.Request) { r.Header.Set("X-Acs-Action", "ListInstance") }, "SignatureDoesNotMatch"},
		{"another nonce", func(r *http.Request) { r.Header.Set("X-Acs-Signature-Nonce", "x") }, "SignatureDoesNotMatch"},
		{"another body", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("InstanceId=x")), int64(len("InstanceId=x"))
		}, "SignatureDoesNotMatch"},
		{"an unsigned header", func(r *http.Request) { r.Header.Set("X-Acs-Extra", "x") }, "IncompleteSignature"},
		{"another scheme", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "IncompleteSignature"},
		{"anonymous", func(r *http.Request) { r.Header.Del("Authorization") }, "MissingAccessKeyId"},
		{"no date", func(r *http.Request) { r.Header.Set("X-Acs-Date", "today") }, "InvalidTimeStamp.Format"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			password(t, client, demoID)
			request := recorded.last.Clone(soon(t))
			request.Body = io.NopCloser(bytes.NewReader(recorded.body))
			test.change(request)
			response, err := recorded.transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), `"Code":"`+test.code+`"`) {
				t.Errorf("got %s %s, error %v, want 400 %s", response.Status, text, err, test.code)
			}
		})
	}
}

func TestDispatch(t *testing.T) {
	cloud := start(t, emulator.Options{})
	client := crClient(t, cloud, crHost, accessKey(t, cloud))
	call := func(action, version string) error {
		_, err := client.CallApi(&openapi.Params{
			Action: tea.String(action), Version: tea.String(version), Protocol: tea.String("HTTPS"), Pathname: tea.String("/"),
			Method: tea.String("POST"), AuthType: tea.String("AK"), Style: tea.String("RPC"),
			ReqBodyType: tea.String("formData"), BodyType: tea.String("json"),
		}, &openapi.OpenApiRequest{}, &dara.RuntimeOptions{})
		return err
	}
	refusedWith(t, call("GetAuthorizationToken", "2016-06-07"), 400, "InvalidVersion")
	refusedWith(t, call("DeleteInstance", "2018-12-01"), 404, "InvalidAction.NotFound")
	refusedWith(t, call("GetAuthorizationToken", "2018-12-01"), 400, "MissingInstanceId")
}

func TestInstanceNotExist(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "far", ID: "cri-far0000000000001", Region: "cn-beijing"})
	client := crClient(t, cloud, crHost, accessKey(t, cloud))
	for _, id := range []string{"cri-none000000000000", "cri-far0000000000001"} {
		_, err := getToken(client, id)
		refusedWith(t, err, 404, "INSTANCE_NOT_EXIST")
	}
	cloud.SetErrorShape200(true)
	response, err := getToken(client, "cri-none000000000000")
	if err != nil || tea.BoolValue(response.Body.IsSuccess) || tea.StringValue(response.Body.Code) != "INSTANCE_NOT_EXIST" ||
		tea.StringValue(response.Body.RequestId) == "" || response.Body.AuthorizationToken != nil {
		t.Errorf("got %v, error %v, want status 200 with IsSuccess false", response, err)
	}
	cloud.SetErrorShape200(false)
	password(t, crClient(t, cloud, "cr.cn-beijing.aliyuncs.com", accessKey(t, cloud)), "cri-far0000000000001")
}

func TestDeniedRole(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "secret", ID: "cri-secret0000000001", Denied: true})
	role := session(t, cloud, stsHost)
	_, err := getToken(crClient(t, cloud, crHost, role), "cri-secret0000000001")
	refusedWith(t, err, 403, "NoPermission")
	if err == nil || !strings.Contains(err.Error(), "cr:GetAuthorizationToken") {
		t.Errorf("error %v does not name the action", err)
	}
	password(t, crClient(t, cloud, crHost, role), demoID)
	password(t, crClient(t, cloud, crHost, accessKey(t, cloud)), "cri-secret0000000001")
}

func TestListInstance(t *testing.T) {
	cloud := start(t, emulator.Options{})
	for _, name := range []string{"demo-b", "demo-a", "x-demo", "other"} {
		add(t, cloud, emulator.Instance{Name: name})
	}
	add(t, cloud, emulator.Instance{Name: "demo", ID: "cri-demo000000000002", Region: "cn-beijing"})
	client := crClient(t, cloud, crHost, session(t, cloud, stsHost))
	list := func(request *cr.ListInstanceRequest) (names []string, total int) {
		t.Helper()
		response, err := client.ListInstance(request)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range response.Body.Instances {
			if tea.StringValue(i.RegionId) != "cn-hangzhou" || tea.StringValue(i.InstanceStatus) != "RUNNING" || tea.StringValue(i.InstanceId) == "" {
				t.Errorf("instance %v", i)
			}
			names = append(names, tea.StringValue(i.InstanceName))
		}
		return names, int(tea.Int32Value(response.Body.TotalCount))
	}
	tests := []struct {
		name    string
		request cr.ListInstanceRequest
		want    []string
		total   int
	}{
		{"all", cr.ListInstanceRequest{}, []string{"demo", "demo-a", "demo-b", "other", "x-demo"}, 5},
		{"by a part of the name", cr.ListInstanceRequest{InstanceName: tea.String("demo")}, []string{"demo", "demo-a", "demo-b", "x-demo"}, 4},
		{"by status", cr.ListInstanceRequest{InstanceStatus: tea.String("STOPPED")}, nil, 0},
		{"second page", cr.ListInstanceRequest{PageNo: tea.Int32(2), PageSize: tea.Int32(2)}, []string{"demo-b", "other"}, 5},
		{"beyond the last page", cr.ListInstanceRequest{PageNo: tea.Int32(9)}, nil, 5},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if names, total := list(&test.request); !slices.Equal(names, test.want) || total != test.total {
				t.Errorf("got %v of %d, want %v of %d", names, total, test.want, test.total)
			}
		})
	}
	_, err := client.ListInstance(&cr.ListInstanceRequest{PageSize: tea.Int32(101)})
	refusedWith(t, err, 400, "InvalidParameter")
}

func TestGetInstanceAndEndpoints(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "shop", ID: "cri-shop000000000001", Domains: []string{"registry.example.com"}})
	add(t, cloud, emulator.Instance{Name: "open", ID: "cri-open000000000001", NoVPC: true})
	client := crClient(t, cloud, crHost, accessKey(t, cloud))
	got, err := client.GetInstance(&cr.GetInstanceRequest{InstanceId: tea.String("cri-shop000000000001")})
	if err != nil || tea.StringValue(got.Body.InstanceName) != "shop" || tea.StringValue(got.Body.InstanceStatus) != "RUNNING" {
		t.Errorf("GetInstance: %v, error %v", got, err)
	}
	for id, want := range map[string][]string{
		"cri-shop000000000001": {
			"Internet SYSTEM shop-registry.cn-hangzhou.cr.aliyuncs.com", "Internet USER registry.example.com",
			"VPC SYSTEM shop-registry-vpc.cn-hangzhou.cr.aliyuncs.com",
			"VPC SYSTEM shop-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com",
		},
		"cri-open000000000001": {"Internet SYSTEM open-registry.cn-hangzhou.cr.aliyuncs.com"},
	} {
		response, err := client.ListInstanceEndpoint(&cr.ListInstanceEndpointRequest{InstanceId: tea.String(id), ModuleName: tea.String("Registry")})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, e := range response.Body.Endpoints {
			for _, d := range e.Domains {
				found = append(found, tea.StringValue(e.EndpointType)+" "+tea.StringValue(d.Type)+" "+tea.StringValue(d.Domain))
			}
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s: got %q, want %q", id, found, want)
		}
	}
}
