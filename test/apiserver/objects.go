package apiserver

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// change is something that watches tell.
type change struct {
	revision int
	kind     string // event type: ADDED, MODIFIED or DELETED
	key      string
	object   map[string]any
}

func key(k kind, namespace, name string) string {
	return k.path() + "/" + k.plural + "/" + namespace + "/" + name
}

// Apply creates the objects of a manifest, or replaces them but for their status, as kubectl does.
func (s *Server) Apply(t *testing.T, manifest string) {
	t.Helper()
	for _, document := range strings.Split(manifest, "\n---\n") {
		object := make(map[string]any)
		words, err := yaml.YAMLToJSON([]byte(document))
		if err == nil {
			err = json.Unmarshal(words, &object)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Put(t, unstructured.Unstructured{Object: object})
	}
}

// Put does it with one object.
func (s *Server) Put(t *testing.T, object unstructured.Unstructured) {
	t.Helper()
	i := slices.IndexFunc(s.kinds, func(k kind) bool { return k.kind == object.GetKind() && k.apiVersion() == object.GetAPIVersion() })
	if i < 0 {
		t.Fatalf("there is no kind %s %s", object.GetAPIVersion(), object.GetKind())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key(s.kinds[i], object.GetNamespace(), object.GetName()), object.Object, "")
}

// Delete deletes an object.
func (s *Server) Delete(t *testing.T, kindName, namespace, name string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		if k.kind == kindName && s.remove(key(k, namespace, name)) {
			return
		}
	}
	t.Fatalf("there is no %s %s/%s", kindName, namespace, name)
}

// Objects returns the objects of a kind, ordered by namespace and name.
func (s *Server) Objects(kindName string) []unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []unstructured.Unstructured
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		if object := (unstructured.Unstructured{Object: s.objects[path]}); object.GetKind() == kindName {
			all = append(all, *object.DeepCopy())
		}
	}
	return all
}

// put stores an object, or with a subresource only that part of it. The caller holds the lock.
func (s *Server) put(path string, object map[string]any, subresource string) map[string]any {
	stored := unstructured.Unstructured{Object: runtime.DeepCopyJSON(normal(object))}
	last, existed := s.objects[path]
	if existed {
		before := unstructured.Unstructured{Object: last}
		if subresource != "" {
			part := stored.Object[subresource]
			stored = *before.DeepCopy()
			stored.Object[subresource] = part
		} else if status, ok := last["status"]; ok {
			stored.Object["status"] = runtime.DeepCopyJSONValue(status)
		}
		stored.SetUID(before.GetUID())
		stored.SetGeneration(before.GetGeneration())
		if !reflect.DeepEqual(stored.Object["spec"], last["spec"]) {
			stored.SetGeneration(before.GetGeneration() + 1)
		}
	} else {
		stored.SetGeneration(1)
		stored.SetUID(types.UID(uuid.NewString()))
	}
	if s.options.DropsConditions && strings.Contains(path, ratify) {
		unstructured.RemoveNestedField(stored.Object, "status", "conditions")
	}
	s.revision++
	stored.SetResourceVersion(strconv.Itoa(s.revision))
	s.objects[path] = stored.Object
	s.tell(path, stored.Object, map[bool]string{false: "ADDED", true: "MODIFIED"}[existed])
	return stored.Object
}

func (s *Server) remove(path string) bool {
	object, ok := s.objects[path]
	if ok {
		delete(s.objects, path)
		s.revision++
		gone := unstructured.Unstructured{Object: runtime.DeepCopyJSON(object)}
		gone.SetResourceVersion(strconv.Itoa(s.revision))
		s.tell(path, gone.Object, "DELETED")
	}
	return ok
}

func (s *Server) tell(path string, object map[string]any, kind string) {
	s.history = append(s.history, change{s.revision, kind, path, object})
	s.wake()
}

// normal returns an object with the types that JSON has in unstructured objects.
func normal(object map[string]any) map[string]any {
	words, err := json.Marshal(object)
	if err != nil {
		panic(err) // it came from JSON
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(words); err != nil {
		panic(err)
	}
	return u.Object
}

// item answers calls about one object.
func (s *Server) item(w http.ResponseWriter, r *http.Request, k kind, path, subresource string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	object, ok := s.objects[path]
	if !ok {
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, path+" not found")
		return
	}
	switch r.Method {
	case http.MethodGet:
		reply(w, http.StatusOK, object)
	case http.MethodPut, http.MethodPatch:
		next, err := changed(r, object, body)
		if err != nil {
			fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
			return
		}
		is, was := unstructured.Unstructured{Object: next}, unstructured.Unstructured{Object: object}
		if version := is.GetResourceVersion(); version != "" && version != was.GetResourceVersion() {
			fail(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
			return
		}
		is.SetAPIVersion(k.apiVersion())
		is.SetKind(k.kind)
		reply(w, http.StatusOK, s.put(path, next, subresource))
	case http.MethodDelete:
		s.remove(path)
		reply(w, http.StatusOK, object)
	default:
		fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, r.Method)
	}
}

// changed returns what a call makes of an object.
func changed(r *http.Request, object map[string]any, body []byte) (map[string]any, error) {
	if r.Method == http.MethodPut {
		return decode(body)
	}
	if mediaType := r.Header.Get("Content-Type"); mediaType != "application/merge-patch+json" {
		return nil, fmt.Errorf("patches of type %s are not supported", mediaType)
	}
	words, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	if words, err = jsonpatch.MergePatch(words, body); err != nil {
		return nil, err
	}
	return decode(words)
}

// decode reads an object in JSON, or in the protobuf that clients write built-in kinds in.
func decode(body []byte) (map[string]any, error) {
	if json.Valid(body) {
		var object map[string]any
		err := json.Unmarshal(body, &object)
		return object, err
	}
	typed, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, err
	}
	return runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
}

// collection answers calls about all objects of a kind.
func (s *Server) collection(w http.ResponseWriter, r *http.Request, k kind, namespace string) {
	query := r.URL.Query()
	if r.Method == http.MethodGet && query.Get("watch") != "" {
		s.watch(w, r, k, namespace)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		items := []any{}
		for _, path := range slices.Sorted(maps.Keys(s.objects)) {
			if matches(path, k, namespace, query.Get("fieldSelector")) {
				items = append(items, s.objects[path])
			}
		}
		reply(w, http.StatusOK, map[string]any{"apiVersion": k.apiVersion(), "kind": k.kind + "List",
			"metadata": map[string]any{"resourceVersion": strconv.Itoa(s.revision)}, "items": items})
	case http.MethodPost:
		object, err := decode(body)
		if err != nil {
			fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
			return
		}
		u := unstructured.Unstructured{Object: object}
		u.SetAPIVersion(k.apiVersion())
		u.SetKind(k.kind)
		u.SetNamespace(cmp.Or(u.GetNamespace(), namespace))
		if u.GetName() == "" {
			u.SetName(u.GetGenerateName() + strconv.Itoa(s.revision))
		}
		path := key(k, u.GetNamespace(), u.GetName())
		if _, ok := s.objects[path]; ok {
			fail(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, path+" already exists")
			return
		}
		reply(w, http.StatusCreated, s.put(path, object, ""))
	default:
		fail(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, r.Method)
	}
}

// matches tells whether an object is among those that are asked for.
func matches(path string, k kind, namespace, fieldSelector string) bool {
	rest, ok := strings.CutPrefix(path, k.path()+"/"+k.plural+"/")
	in, name, _ := strings.Cut(rest, "/")
	wanted, selected := strings.CutPrefix(fieldSelector, "metadata.name=")
	return ok && (namespace == "" || in == namespace) && (!selected || name == wanted)
}

// watch streams the changes since a revision, until the client, or the server, goes away.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, k kind, namespace string) {
	query := r.URL.Query()
	if query.Get("sendInitialEvents") != "" { // clients then list first
		fail(w, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is not supported")
		return
	}
	since, err := strconv.Atoi(query.Get("resourceVersion"))
	if err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, "watching without resourceVersion is not supported")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	flusher := http.NewResponseController(w)
	for {
		s.mu.Lock()
		away, news := s.away, s.news
		var told []change
		for _, c := range s.history {
			if c.revision > since && matches(c.key, k, namespace, query.Get("fieldSelector")) {
				told = append(told, c)
			}
		}
		s.mu.Unlock()
		if away {
			return
		}
		for _, c := range told {
			since = c.revision
			if json.NewEncoder(w).Encode(map[string]any{"type": c.kind, "object": c.object}) != nil {
				return
			}
		}
		if flusher.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-news:
		}
	}
}

// Wait waits until something is true that depends on what the server holds, or fails the test.
func (s *Server) Wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		news := s.news
		s.mu.Unlock()
		if is() {
			return
		}
		select {
		case <-news:
		case <-timeout:
			t.Fatalf("in vain waited for %s", what)
		}
	}
}
