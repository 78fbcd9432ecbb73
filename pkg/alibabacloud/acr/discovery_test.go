package acr

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// listOf serves ListInstance over instances {name, id, status}.
func listOf(instances [][3]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("PageNo"))
		size, _ := strconv.Atoi(r.URL.Query().Get("PageSize"))
		list := []fields{}
		for i := (page - 1) * size; i < min(page*size, len(instances)); i++ {
			list = append(list, fields{"InstanceName": instances[i][0], "InstanceId": instances[i][1], "InstanceStatus": instances[i][2]})
		}
		body(200, fields{"IsSuccess": true, "Code": "success", "RequestId": "R", "Instances": list, "TotalCount": len(instances), "PageNo": page, "PageSize": size})(w, r)
	}
}

func TestDiscovery(t *testing.T) {
	s := newService(t)
	var instances [][3]string
	for i := range 250 {
		instances = append(instances, [3]string{fmt.Sprint("i", i), fmt.Sprint("cri-", i), "RUNNING"})
	}
	instances = append(instances, [3]string{"Demo", "cri-demo", "RUNNING"}, [3]string{"demo-other", "cri-other", "RUNNING"}, [3]string{"old", "cri-old", "STOPPED"})
	s.answer("ListInstance", listOf(instances))
	s.answer(opToken, func(w http.ResponseWriter, r *http.Request) {
		body(200, goodToken().with("TempUsername", r.URL.Query().Get("InstanceId")))(w, r)
	})
	c := s.client(t, "acrInstancesConfig: []")
	for host, id := range map[string]string{demoHost: "cri-demo", "i249-registry.cn-hangzhou.cr.aliyuncs.com": "cri-249"} {
		if token, err := c.Token(t.Context(), host); err != nil || token.InstanceID != id || token.Username != id {
			t.Errorf("%s: %v, %v", host, token, err)
		}
	}
	for _, host := range []string{"old-registry.cn-hangzhou.cr.aliyuncs.com", "dem-registry.cn-hangzhou.cr.aliyuncs.com"} {
		_, err := c.Token(t.Context(), host)
		if !errors.Is(err, ErrInstanceNotFound) || !strings.Contains(err.Error(), "acrInstancesConfig") || strings.Contains(err.Error(), "demo") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if n := s.count("cr.cn-hangzhou.aliyuncs.com ListInstance"); n != 3 {
		t.Errorf("%d calls for 3 pages", n)
	}
	if text := c.Refused(demoHost, "hush-password"); !strings.Contains(text, "cri-demo") || !strings.Contains(text, "found by the name demo") {
		t.Errorf("refused: %q", text)
	}
}

func TestDiscoveryIsCached(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	lists, ids := 0, map[string]string{"a": "cri-a"}
	d := newDirectory(func() time.Time { return now }, time.Minute, func(context.Context, string) (map[string]string, error) {
		lists++
		copied := make(map[string]string)
		for name, id := range ids {
			copied[name] = id
		}
		return copied, nil
	})
	find := func(name, id string, calls int) {
		t.Helper()
		got, err := d.find(t.Context(), Host{name, "cn-hangzhou"})
		if got != id || err != nil || lists != calls {
			t.Errorf("%s: %q, %v after %d lists; want %q after %d", name, got, err, lists, id, calls)
		}
	}
	find("a", "cri-a", 1)
	find("a", "cri-a", 1)
	find("b", "", 1)
	ids["b"] = "cri-b"
	now = now.Add(missingFor - time.Second)
	find("b", "", 1)
	now = now.Add(time.Second)
	find("a", "cri-a", 1)
	find("b", "cri-b", 2)
	delete(ids, "a")
	find("a", "cri-a", 2)
	now = now.Add(foundFor)
	find("a", "", 3)
}

func TestDiscoveryErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		words   string
	}{
		"no permission": {body(403, fields{"Code": "NoPermission", "RequestId": "REQ-9"}), "cr:ListInstance|REQ-9"},
		"unsuccessful":  {body(200, fields{"Code": "Odd", "RequestId": "REQ-9", "IsSuccess": false}), "Odd|REQ-9"},
		"malformed ID":  {listOf([][3]string{{"demo", "../evil", "RUNNING"}}), "malformed ID"},
		"wrong types":   {body(200, fields{"Code": "success", "IsSuccess": true, "Instances": 7}), "not what the API documents"},
		"nulls":         {body(200, fields{"Code": "success", "IsSuccess": true, "Instances": []any{nil, fields{}}}), "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.answer("ListInstance", tc.handler)
			_, err := s.client(t, "{defaultInstanceId: cri-default, discoverInstances: true}").Token(t.Context(), demoHost)
			if err == nil {
				t.Fatal("no error")
			}
			for _, word := range append(strings.Split(tc.words, "|"), `"demo"`) {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v lacks %q", err, word)
				}
			}
		})
	}
}

func TestDiscoveryEnds(t *testing.T) {
	s := newService(t)
	s.answer("ListInstance", func(w http.ResponseWriter, r *http.Request) { // a list that never ends
		list := make([]fields, pageSize)
		for i := range list {
			list[i] = fields{"InstanceName": fmt.Sprint("x", r.URL.Query().Get("PageNo"), "-", i), "InstanceId": "cri-x", "InstanceStatus": "RUNNING"}
		}
		body(200, fields{"IsSuccess": true, "Instances": list, "TotalCount": 1 << 30})(w, r)
	})
	c := s.client(t, "{}")
	var wg sync.WaitGroup
	for i := range 20 { // made-up names of one region
		wg.Go(func() {
			if _, err := c.Token(t.Context(), fmt.Sprintf("no%d-registry.cn-hangzhou.cr.aliyuncs.com", i)); !errors.Is(err, ErrInstanceNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := s.count("cr.cn-hangzhou.aliyuncs.com ListInstance"); n != maxInstances/pageSize {
		t.Errorf("%d calls, want %d", n, maxInstances/pageSize)
	}
}
