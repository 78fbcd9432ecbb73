package servingcert

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var names = Names{Namespace: "ratify-system", Service: "ratify"}

func provider(name string) *unstructured.Unstructured {
	p := NewProvider()
	p.SetName(name)
	p.Object["spec"] = map[string]any{"url": "https://ratify.ratify-system:6001", "timeout": int64(5)}
	return p
}

func secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ratify-system", Name: "ratify-tls"}}
}

func newClient(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	scheme.AddKnownTypeWithName(providerKind, &unstructured.Unstructured{})
	return fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(funcs).WithObjects(objects...).Build()
}

// While Gatekeeper cannot be told of another authority, what it accepts stays.
func TestKeepTellsFirst(t *testing.T) {
	for name, hoursAgo := range map[string]time.Duration{"renewed authority": 0, "its overlap is over": 2} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			data := made(t, nil, now.Add(-5*time.Hour))
			if hoursAgo > 0 {
				data = made(t, without(data, signingKey), now.Add(-hoursAgo*time.Hour))
			} else {
				data = without(data, signingKey)
			}
			kept := secret()
			kept.Data = data
			fails := true
			c := newClient(t, interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.UpdateOption) error {
				if _, ok := o.(*corev1.Secret); !ok && fails {
					return errors.New("forbidden")
				}
				return c.Update(ctx, o, options...)
			}}, kept, provider("ratify-provider"))
			k := NewKeeper(c, c, names, slog.New(slog.DiscardHandler))
			var is corev1.Secret
			if err := k.keep(t.Context()); err == nil || !strings.Contains(err.Error(), "forbidden") {
				t.Errorf("error %v", err)
			}
			if _ = c.Get(t.Context(), names.Secret(), &is); !maps.EqualFunc(is.Data, data, bytes.Equal) {
				t.Error("the Secret changed before Gatekeeper was told")
			}
			fails = false
			if err := k.keep(t.Context()); err != nil {
				t.Error(err)
			}
			if _ = c.Get(t.Context(), names.Secret(), &is); maps.EqualFunc(is.Data, data, bytes.Equal) {
				t.Error("the Secret did not change after it")
			}
		})
	}
}

// Errors are paced, whatever asks to look: an attempt may make keys, and write to what is watched.
func TestRunPacesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		var k *Keeper
		c := newClient(t, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			reads++
			k.Look()
			return errors.New("the API server is away")
		}})
		k = NewKeeper(c, c, names, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		k.Run(ctx)
		if want := int(time.Minute / retryAfter); reads < want-1 || reads > want+1 {
			t.Errorf("%d attempts in a minute, want %d", reads, want)
		}
	})
}

func TestKeep(t *testing.T) {
	down := errors.New("the API server is away")
	failUpdate := func(kind string) interceptor.Funcs {
		return interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, o client.Object, options ...client.UpdateOption) error {
			if _, ok := o.(*corev1.Secret); ok == (kind == "Secret") {
				return down
			}
			return c.Update(ctx, o, options...)
		}}
	}
	for name, tt := range map[string]struct {
		funcs   interceptor.Funcs
		objects []client.Object
		want    string // of the error
		made    bool   // the Secret has a certificate
		told    int    // Providers that have the authority
	}{
		"both providers":             {objects: []client.Object{secret(), provider("ratify-provider"), provider("ratify-mutation-provider")}, made: true, told: 2},
		"without mutation":           {objects: []client.Object{secret(), provider("ratify-provider"), provider("another")}, made: true, told: 1},
		"without a Secret":           {objects: []client.Object{provider("ratify-provider")}, want: "secret ratify-system/ratify-tls is not there: create it empty"},
		"the Secret is not writable": {failUpdate("Secret"), []client.Object{secret(), provider("ratify-provider")}, "update secret ratify-system/ratify-tls: the API", false, 1},
		"a provider is not writable": {failUpdate("Provider"), []client.Object{secret(), provider("ratify-provider")}, "to provider ratify-provider: the API", true, 0},
		"the API server is away": {interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return down
		}}, nil, "read secret ratify-system/ratify-tls: the API", false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, tt.funcs, tt.objects...)
			k := NewKeeper(c, c, names, slog.New(slog.DiscardHandler))
			err := k.keep(t.Context())
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if tt.objects == nil {
				return
			}
			var is corev1.Secret
			_ = c.Get(t.Context(), names.Secret(), &is)
			if made := len(is.Data[certKey]) > 0; made != tt.made {
				t.Errorf("the Secret has a certificate: %t", made)
			}
			told := 0
			for _, o := range tt.objects {
				p := NewProvider()
				if c.Get(t.Context(), client.ObjectKeyFromObject(o), p) != nil {
					continue
				}
				bundle, _, _ := unstructured.NestedString(p.Object, "spec", "caBundle")
				if bundle == "" {
					continue
				}
				told++
				if tt.made && bundle != base64.StdEncoding.EncodeToString(is.Data[authorityKey]) {
					t.Errorf("provider %s has another authority", o.GetName())
				}
			}
			if told != tt.told {
				t.Errorf("%d providers were told, want %d", told, tt.told)
			}
			if err == nil {
				version := is.ResourceVersion
				if err := k.keep(t.Context()); err != nil {
					t.Error(err)
				}
				if _ = c.Get(t.Context(), names.Secret(), &is); is.ResourceVersion != version {
					t.Error("what is right was written again")
				}
			}
		})
	}
}
