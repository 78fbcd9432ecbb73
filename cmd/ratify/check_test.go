package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mute is a cluster whose Providers cannot be read, and whose resources are all in use.
type mute struct {
	client.Reader
	looks int
}

func (l *mute) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	l.looks++
	return errors.New("no answer")
}

func (l *mute) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	resource := unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"issuccess": true}}}
	resource.SetName("r")
	list.(*unstructured.UnstructuredList).Items = []unstructured.Unstructured{resource}
	return nil
}

func TestCheckLooksAgainUntilItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cluster := &mute{}
		var out strings.Builder
		begin := time.Now()
		err := checkUntilRight(ctx, cluster, &out)
		if err == nil || time.Since(begin) != 30*time.Second || cluster.looks < 20 {
			t.Errorf("%v after %s and %d looks", err, time.Since(begin), cluster.looks)
		}
		if text := out.String(); !strings.Contains(text, "wrong  Provider ratify-provider: no answer\n") || !strings.Contains(text, "right  Store r\n") || strings.Count(text, "Store r") != 1 {
			t.Errorf("printed %s", text)
		}
	})
}
