package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
)

// TestFront reaches a host of the cloud by the name in the greeting alone, as a pod does.
func TestFront(t *testing.T) {
	cloud := emulatortest.Start(t, emulator.Options{})
	f, err := startFront("127.0.0.1:0", cloud.ProxyURL())
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	transport := &http.Transport{
		TLSClientConfig: cloud.Transport().TLSClientConfig,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", f.listener.Addr().String())
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Get("https://sts-vpc.cn-hangzhou.aliyuncs.com/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("got %s, want STS to miss its parameters", response.Status)
	}
	if _, err := client.Get("https://www.example.com/"); !errors.Is(err, io.EOF) {
		t.Errorf("a host outside of the cloud: got %v, want the end of the connection", err)
	}
}

func TestServerNameNeedsOne(t *testing.T) {
	client, server := net.Pipe()
	go func() {
		_ = tls.Client(client, &tls.Config{InsecureSkipVerify: true}).Handshake() // without a name, as to an address
		_ = client.Close()
	}()
	defer client.Close()
	if name, _, err := serverName(server); err == nil {
		t.Errorf("got %q, want an error", name)
	}
}
