package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ratify-project/ratify/api/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/apiserver"
)

// While many statuses are written others change: what is written is the latest, once, and nothing of what is gone.
func TestStatusesAreTheLatest(t *testing.T) {
	scheme, _, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	outcomes := func(problems ...string) []outcome {
		var all []outcome
		for i, problem := range problems {
			s := controller.Status{ID: controller.ID{Kind: "Store", Name: fmt.Sprint("store-", i)}}
			if problem != "" {
				s.Err = errors.New(problem)
			}
			all = append(all, outcome{s.ID, version{types.UID(fmt.Sprint(i)), 1}, newStatus(s, 1)})
		}
		return all
	}
	synctest.Test(t, func(t *testing.T) {
		builder := fake.NewClientBuilder().WithScheme(scheme)
		for i := range 3 {
			store := &v1beta1.Store{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("store-", i), UID: types.UID(fmt.Sprint(i))}}
			builder = builder.WithObjects(store).WithStatusSubresource(store)
		}
		s := &statuses{log: slog.New(slog.DiscardHandler), changed: make(chan struct{}, 1)}
		var asked []string
		s.client = builder.WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
				if asked = append(asked, key.Name); len(asked) == 1 {
					s.set(outcomes("", "a mistake"))
				}
				return c.Get(ctx, key, object, options...)
			},
		}).Build()
		s.set(outcomes("", "", ""))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.run(ctx)
		}()
		synctest.Wait()
		if want := []string{"store-0", "store-1"}; !slices.Equal(asked, want) {
			t.Errorf("asked for %v, want %v", asked, want)
		}
		cancel()
		<-ended
		object := newObject("Store")
		if err := s.client.Get(t.Context(), types.NamespacedName{Name: "store-1"}, object); err != nil {
			t.Fatal(err)
		}
		if got := readStatus(object); !strings.Contains(got.Error, "a mistake") {
			t.Errorf("status %+v", got)
		}
	})
}

// What changes between the look at a resource and the write, by another replica that leads now, too, is not overwritten.
func TestStatusIsOfWhatWasRead(t *testing.T) {
	scheme, mapper, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	for name, meanwhile := range map[string]func(*apiserver.Server){
		"edited": func(s *apiserver.Server) { s.Apply(t, manifest("Store", "", "store", "two")) },
		"deleted and created again": func(s *apiserver.Server) {
			s.Delete(t, "Store", "", "store")
			s.Apply(t, manifest("Store", "", "store", "one"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := apiserver.Start(t, apiserver.Options{})
			server.Apply(t, manifest("Store", "", "store", "one"))
			direct, err := client.NewWithWatch(server.Config(), client.Options{Scheme: scheme, Mapper: mapper})
			if err != nil {
				t.Fatal(err)
			}
			s := &statuses{log: slog.New(slog.DiscardHandler)}
			s.client = interceptor.NewClient(direct, interceptor.Funcs{
				SubResourcePatch: func(ctx context.Context, c client.Client, sub string, object client.Object, patch client.Patch, o ...client.SubResourcePatchOption) error {
					meanwhile(server)
					return c.SubResource(sub).Patch(ctx, object, patch, o...)
				},
			})
			id, uid := controller.ID{Kind: "Store", Name: "store"}, server.Objects("Store")[0].GetUID()
			err = s.write(t.Context(), outcome{id, version{uid, 1}, newStatus(controller.Status{ID: id}, 1)}, outcome{})
			if got := statusOf(t, server, "Store", "", "store"); !apierrors.IsConflict(err) || got.Conditions != nil {
				t.Errorf("error %v, want a conflict; status %+v", err, got)
			}
		})
	}
}
