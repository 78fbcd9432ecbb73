package rrsa

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"
)

func TestSDKStatic(t *testing.T) {
	s, err := NewSDK(credentials.Config{Type: tea.String("sts"), AccessKeyId: tea.String("id"), AccessKeySecret: tea.String("hush"), SecurityToken: tea.String("hush")}, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Credential(t.Context())
	if err != nil || c.AccessKeyID != "id" || c.AccessKeySecret != "hush" || c.SecurityToken != "hush" || !strings.Contains(s.String(), "sts") {
		t.Errorf("got %v, %v from %s", c, err, s)
	}
	for typ, want := range map[string]string{"nonsense": "invalid type", "access_key": "access key id"} {
		if _, err := NewSDK(credentials.Config{Type: tea.String(typ)}, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", typ, err, want)
		}
	}
}

// fromURI returns a Source of type credentials_uri over handler.
func fromURI(t *testing.T, handler http.HandlerFunc) *SDK {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	s, err := NewSDK(credentials.Config{Type: tea.String("credentials_uri"), Url: tea.String(server.URL)}, 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSDKSession(t *testing.T) {
	var calls atomic.Int32
	s := fromURI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // credentials-go makes a transport for each call
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"STS.%d","AccessKeySecret":"s","SecurityToken":"t","Expiration":%q}`,
			calls.Add(1), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	var wg sync.WaitGroup
	for range 50 { // -race finds it if credentials-go is called concurrently
		wg.Go(func() {
			if c, err := s.Credential(t.Context()); err != nil || c.AccessKeyID != "STS.1" {
				t.Errorf("got %v, %v", c, err)
			}
		})
	}
	wg.Wait()
	s.Forget(Credential{AccessKeyID: "STS.0"})
	if c, err := s.Credential(t.Context()); err != nil || c.AccessKeyID != "STS.1" {
		t.Errorf("forgot another session: %v, %v", c, err)
	}
	s.Forget(Credential{AccessKeyID: "STS.1", SecurityToken: "t"})
	if c, err := s.Credential(t.Context()); err != nil || c.AccessKeyID != "STS.2" {
		t.Errorf("kept a session: %v, %v", c, err)
	}
}

func TestSDKErrors(t *testing.T) {
	for name, tc := range map[string]struct{ body, want string }{
		"documented":   {`{"Code":"NoPermission","Message":"no","RequestId":"REQ-1","AccessKeySecret":"hush"}`, "NoPermission: no, RequestId REQ-1"},
		"undocumented": {`{"AccessKeySecret":"hush","SecurityToken":"hush"}`, "none of Alibaba Cloud's errors"},
		"html":         {"<html>hush", "none of Alibaba Cloud's errors"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fromURI(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "close")
				w.WriteHeader(403)
				fmt.Fprint(w, tc.body)
			})
			_, err := s.Credential(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "credentials_uri") || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSDKHang(t *testing.T) {
	s := fromURI(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Credential(ctx); ctx.Err() == nil || err == nil {
		t.Errorf("got %v", err)
	}
	if _, err := s.Credential(t.Context()); err == nil { // joins the call in flight, or has one of its own end
		t.Error("no error")
	}
}

// A call that everybody gave up on may hang on. The next one must neither wait for it nor share what it works with.
func TestSDKRecoversFromHang(t *testing.T) {
	var calls atomic.Int32
	reached, release := make(chan struct{}), make(chan struct{})
	s := fromURI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		n := calls.Add(1)
		if n == 1 {
			close(reached)
			<-release
		}
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"STS.%d","AccessKeySecret":"s","SecurityToken":"t","Expiration":%q}`,
			n, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	go func() {
		_, err := s.Credential(ctx)
		gaveUp <- err
	}()
	<-reached
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	hung := s.cred
	if c, err := s.Credential(t.Context()); err != nil || c.AccessKeyID != "STS.2" {
		t.Errorf("the next caller got %v, %v", c, err)
	}
	if s.cred == hung {
		t.Error("the next call shares the credential with the one that hangs")
	}
	close(release)
}
