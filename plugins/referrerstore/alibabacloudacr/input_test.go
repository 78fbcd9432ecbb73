package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/referrerstore/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/protocol"
)

const good = `{"name":"alibabacloudacr"}`

// Every bad input gets the protocol's error, and nobody is asked.
func TestBadInput(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	const image = "demo-registry.cn-hangzhou.cr.aliyuncs.com/app:v1"
	list := call("LISTREFERRERS", image, "nextToken=;artifactTypes=")
	for _, tt := range []struct {
		name  string
		stdin string
		env   []string
		code  uint
		says  string
	}{
		{"no environment", good, nil, types.ErrMissingEnvironmentVariables, "RATIFY_STORE_COMMAND"},
		{"unknown command", good, call("DELETE", image, ""), types.ErrUnknownCommand, "DELETE"},
		{"unknown version", good, append(list, "RATIFY_STORE_VERSION=7"), types.ErrVersionNotSupported, `"7"`},
		{"no subject", good, append(list, "RATIFY_STORE_SUBJECT="), types.ErrMissingEnvironmentVariables, "RATIFY_STORE_SUBJECT"},
		{"bad subject", good, append(list, "RATIFY_STORE_SUBJECT=:v1"), types.ErrArgsParsingFailure, "RATIFY_STORE_SUBJECT"},
		{"unknown argument", good, call("LISTREFERRERS", image, "type=a"), types.ErrArgsParsingFailure, `"type"`},
		{"argument of another command", good, call("GETSUBJECTDESCRIPTOR", image, "digest=a"), types.ErrArgsParsingFailure, `"digest"`},
		{"no digest", good, call("GETBLOB", image, ""), types.ErrArgsParsingFailure, "digest"},
		{"bad digest", good, call("GETREFMANIFEST", image, "digest=sha256:../../x"), types.ErrArgsParsingFailure, "digest"},
		{"no input", "", list, types.ErrConfigParsingFailure, "standard input"},
		{"no JSON", "{", list, types.ErrConfigParsingFailure, "standard input"},
		{"no object", "[]", list, types.ErrConfigParsingFailure, "standard input"},
		{"null", "null", list, types.ErrInvalidStoreConfig, "no name"},
		{"no name", "{}", list, types.ErrInvalidStoreConfig, "no name"},
		{"name that is no text", `{"name":1}`, list, types.ErrInvalidStoreConfig, "no name"},
		{"unknown key", `{"name":"alibabacloudacr","useHtp":true}`, list, types.ErrInvalidStoreConfig, "did you mean useHttp?"},
		{"wrong value", `{"name":"alibabacloudacr","ttl":"x"}`, list, types.ErrInvalidStoreConfig, "ttl must be"},
		{"unknown key of the auth provider", `{"name":"alibabacloudacr","authProvider":{"name":"alibabacloudAcrBasic","regin":"x"}}`, list,
			types.ErrInvalidStoreConfig, "regin"},
		{"another auth provider", `{"name":"alibabacloudacr","authProvider":{"name":"azureWorkloadIdentity"}}`, list, types.ErrInvalidStoreConfig,
			"plugins have alibabacloudAcrBasic, k8Secrets, dockerConfig only"},
		{"cache that is no text", `{"name":"alibabacloudacr","tokenCache":true}`, list, types.ErrInvalidStoreConfig, "tokenCache"},
		{"empty cache", `{"name":"alibabacloudacr","tokenCache":""}`, list, types.ErrInvalidStoreConfig, "tokenCache"},
		{"cache without a path", `{"name":"alibabacloudacr","tokenCache":"cache"}`, list, types.ErrInvalidStoreConfig, "tokenCache"},
		{"no identity", good, list, types.ErrPluginCmdFailure, "this pod has no RRSA identity"},
		{"nobody there", `{"name":"alibabacloudacr","authProvider":{"name":"dockerConfig"}}`, list, types.ErrPluginCmdFailure, "127.0.0.1:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr, code := run(t, tt.stdin, tt.env...)
			if e := printed(t, stdout, code); e.Code != tt.code || !strings.Contains(e.Error(), tt.says) {
				t.Errorf("it prints %s; want code %d and %q", stdout, tt.code, tt.says)
			}
			if strings.Contains(stderr, "{") {
				t.Errorf("Ratify takes a part of the log for the reply: %s", stderr)
			}
		})
	}
}

// Whatever is on the standard input, the plugin says what is wrong with it.
func FuzzInput(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"name":"a","authProvider":{"name":"dockerConfig"},"registries":[{"registry":"*.example"}],"caBundle":"-----BEGIN"}`))
	f.Add([]byte(`{"name":"a","authProviders":[{"name":"alibabacloudAcrBasic","registries":["a"],"acrInstancesConfig":[{}]}]}`))
	f.Fuzz(func(t *testing.T, input []byte) {
		if strings.Contains(string(input), "tokenCache") || strings.Contains(string(input), "localCachePath") {
			t.Skip("that makes directories")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := handle(ctx, protocol.Call{Command: "GETSUBJECTDESCRIPTOR", Version: "1.0.0", Subject: common.Reference{Path: "127.0.0.1:1/a", Tag: "v1"}, Input: input})
		if err == nil {
			t.Error("it found something at an address where nobody is")
		}
		if e, ok := errors.AsType[*plugin.Error](err); ok && (e.Code == 0 || e.Msg == "") {
			t.Errorf("the error is %+v", e)
		}
	})
}

// listed is a store with a list of referrers.
type listed struct {
	referrerstore.ReferrerStore
	all []ocispecs.ReferenceDescriptor
}

func (l listed) ListReferrers(context.Context, common.Reference, []string, string, *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	return referrerstore.ListReferrersResult{Referrers: l.all}, nil
}

func digestOf(i int) digest.Digest { return digest.FromString(fmt.Sprint(i)) }

func decoded(t *testing.T, reply []byte) types.ReferrersResult {
	t.Helper()
	var page types.ReferrersResult
	if err := json.Unmarshal(reply, &page); err != nil {
		t.Fatal(err)
	}
	return page
}
