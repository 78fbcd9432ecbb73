package signing

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// checkFailure checks that err is an error of the protocol, with what people need to know.
func checkFailure(t *testing.T, err error, code plugin.ErrorCode, want ...string) {
	t.Helper()
	failed, ok := err.(*plugin.Error)
	if !ok {
		t.Errorf("got %T %v, want a *plugin.Error with %q", err, err, want)
		return
	}
	if failed.ErrCode != code {
		t.Errorf("%s, want %s: %s", failed.ErrCode, code, failed.Message)
	}
	for _, part := range want {
		if !strings.Contains(failed.Message, part) {
			t.Errorf("%q is not in: %s", part, failed.Message)
		}
	}
}

func TestMetadata(t *testing.T) {
	resp, err := New(Options{}).GetMetadata(t.Context(), &plugin.GetMetadataRequest{})
	if err != nil || resp.Name != "alibabacloud.secretmanager.plugin" || resp.Version != "0.0.0-dev" || len(resp.Capabilities) != 1 ||
		resp.Capabilities[0] != plugin.CapabilitySignatureGenerator {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	p := New(Options{})
	_, err := p.DescribeKey(t.Context(), &plugin.DescribeKeyRequest{ContractVersion: "2.0", KeyID: "k"})
	checkFailure(t, err, plugin.ErrorCodeUnsupportedContractVersion, "2.0")
	request := plugin.GenerateSignatureRequest{ContractVersion: "2.0", KeyID: "k", KeySpec: plugin.KeySpecRSA2048, Hash: plugin.HashAlgorithmSHA256, Payload: payload}
	_, err = p.GenerateSignature(t.Context(), &request)
	checkFailure(t, err, plugin.ErrorCodeUnsupportedContractVersion, "2.0")
	request.ContractVersion, request.Hash = "1.0", plugin.HashAlgorithmSHA384
	_, err = p.GenerateSignature(t.Context(), &request)
	checkFailure(t, err, plugin.ErrorCodeValidation, "hashAlgorithm", "SHA-384", "SHA-256 only")
	_, err = p.DescribeKey(t.Context(), &plugin.DescribeKeyRequest{ContractVersion: "1.0", KeyID: "k", PluginConfig: map[string]string{"output_dir": "x"}})
	checkFailure(t, err, plugin.ErrorCodeValidation, "plugin-config output_dir")
	_, err = p.VerifySignature(t.Context(), nil)
	checkFailure(t, err, plugin.ErrorCodeValidation, "verify-signature is not supported")
	_, err = p.GenerateEnvelope(t.Context(), nil)
	checkFailure(t, err, plugin.ErrorCodeValidation, "generate-envelope is not supported")
}

func TestKeysThatCannotSign(t *testing.T) {
	for _, way := range ways {
		w := newWorld(t, way)
		for _, spec := range []string{"RSA_3072", "EC_P256K", "EC_SM2"} {
			id := w.addKey(t, emulated.KeyOptions{Spec: spec})
			_, err := w.describe(t, id)
			checkFailure(t, err, plugin.ErrorCodeValidation, id, spec, "use a key of spec RSA_2048 or EC_P256")
			_, err = w.generate(t, id, plugin.KeySpecRSA2048)
			checkFailure(t, err, plugin.ErrorCodeValidation, id, spec, "use a key of spec RSA_2048 or EC_P256")
		}
		id := w.addKey(t, emulated.KeyOptions{})
		for _, state := range []string{"Disabled", "PendingDeletion"} {
			w.KMS().SetKeyState(id, state)
			_, err := w.describe(t, id)
			checkFailure(t, err, plugin.ErrorCodeValidation, id, state)
			_, err = w.generate(t, id, plugin.KeySpecRSA2048)
			checkFailure(t, err, plugin.ErrorCodeValidation, id, state)
		}
		waiting := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256", Origin: "EXTERNAL"})
		_, err := w.describe(t, waiting)
		checkFailure(t, err, plugin.ErrorCodeValidation, waiting, "PendingImport")
		_, err = w.describe(t, "key-absent")
		checkFailure(t, err, plugin.ErrorCodeValidation, "key-absent", "KeyNotFound")
	}
	w := newWorld(t, ways[0])
	symmetric := w.addKey(t, emulated.KeyOptions{Spec: "Aliyun_AES_256"})
	_, err := w.describe(t, symmetric)
	checkFailure(t, err, plugin.ErrorCodeValidation, symmetric, "ENCRYPT/DECRYPT", "SIGN/VERIFY")
	id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
	_, err = w.generate(t, id, plugin.KeySpecRSA2048)
	checkFailure(t, err, plugin.ErrorCodeValidation, id, "RSA-2048", "EC-256")
}

func TestFailuresOfKMS(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w := newWorld(t, way)
			id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
			w.sign(t, id)
			timeout := "1m"
			both := func(code plugin.ErrorCode, want ...string) {
				t.Helper()
				_, err := w.describe(t, id, "timeout", timeout)
				checkFailure(t, err, code, want...)
				_, err = w.generate(t, id, plugin.KeySpecEC256, "timeout", timeout)
				checkFailure(t, err, code, want...)
			}
			w.KMS().Deny(way.lookUp, way.sign)
			both(plugin.ErrorCodeAccessDenied, "NoPermission")
			w.KMS().Deny()
			w.fault(way.host, emulator.Fault{Hang: true})
			timeout = "1s"
			both(plugin.ErrorCodeTimeout, "the command had 1s", "plugin-config timeout")
			timeout = "1m"

			w.callTimeout = 100 * time.Millisecond
			both(plugin.ErrorCodeTimeout, "no complete answer in time")
			w.callTimeout = 0
			w.fault(way.host, throttled(way))
			both(plugin.ErrorCodeThrottled, "Throttling")
			w.fault(way.host, emulator.Fault{Status: 403, Body: "<html>hush</html>"})
			both(plugin.ErrorCodeGeneric, "403", "proxy")
			w.fault(way.host, emulator.Fault{})
			w.sign(t, id)
		})
	}
}

func TestErrorsTellTheRequest(t *testing.T) {
	w := newWorld(t, ways[0])
	_, err := w.describe(t, "key-absent")
	failed, ok := errors.AsType[*plugin.Error](err)
	if !ok || failed.Metadata["code"] != "Forbidden.KeyNotFound" || failed.Metadata["requestId"] == "" {
		t.Errorf("%+v", err)
	}
}

func TestWithoutCredentials(t *testing.T) {
	for _, name := range []string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	p := New(Options{})
	for _, kind := range []string{"default", "access_key"} {
		_, err := p.DescribeKey(t.Context(), &plugin.DescribeKeyRequest{ContractVersion: "1.0", KeyID: "k", PluginConfig: map[string]string{"credential_type": kind}})
		checkFailure(t, err, plugin.ErrorCodeAccessDenied, "no credentials for KMS", "ALIBABA_CLOUD_")
	}
}

func TestCallersMayGiveUp(t *testing.T) {
	w := newWorld(t, ways[0])
	id := w.addKey(t, emulated.KeyOptions{Spec: "EC_P256"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := w.plugin.DescribeKey(ctx, &plugin.DescribeKeyRequest{ContractVersion: "1.0", KeyID: id, PluginConfig: w.config})
	checkFailure(t, err, plugin.ErrorCodeGeneric, "canceled")
}
