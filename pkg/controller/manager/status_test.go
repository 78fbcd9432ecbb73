package manager

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
)

func TestNewStatus(t *testing.T) {
	kmp := controller.ID{Kind: "KeyManagementProvider", Name: "kmp"}
	store := controller.ID{Kind: "Store", Name: "store"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	down := errors.New("KMS is down")
	held := config.KeyMaterial{
		CertificateStatus: map[string]any{"Certificates": []map[string]string{{"Name": "c"}}},
		KeyStatus:         map[string]any{"Keys": []int{1}},
	}
	properties := map[string]any{"Certificates": []any{map[string]any{"Name": "c"}}, "Keys": []any{int64(1)}}
	fetched := &metav1.Time{Time: time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)}
	condition := func(name string, is metav1.ConditionStatus, reason, message string) metav1.Condition {
		return metav1.Condition{Type: name, Status: is, ObservedGeneration: 7, Reason: reason, Message: message}
	}
	for name, tt := range map[string]struct {
		status controller.Status
		want   status
	}{
		"fine": {controller.Status{ID: store}, status{IsSuccess: true, Conditions: []metav1.Condition{condition("Ready", "True", "InUse", "")}}},
		"broken": {controller.Status{ID: store, Err: errors.New("no\nway")}, status{Error: "no way", BriefError: "no way",
			Conditions: []metav1.Condition{condition("Ready", "False", "NotUsable", "no way")}}},
		"kept": {controller.Status{ID: store, Err: errors.New("no"), Kept: true}, status{
			Error: "no; the last version that could be used stays in use", BriefError: "no; the last version that could be used stays in use",
			Conditions: []metav1.Condition{condition("Ready", "False", "LastUsableVersionInUse", "no; the last version that could be used stays in use")}}},
		"read": {controller.Status{ID: kmp, KeyMaterial: held, ReadAt: at}, status{IsSuccess: true, LastFetchedTime: fetched, Properties: properties,
			Conditions: []metav1.Condition{condition("Ready", "True", "InUse", ""), condition("Degraded", "False", "ReadInFull", "")}}},
		"not read again": {controller.Status{ID: kmp, KeyMaterial: held, ReadAt: at, Degraded: down, Since: at}, status{
			IsSuccess: true, LastFetchedTime: fetched, Properties: properties,
			Conditions: []metav1.Condition{condition("Ready", "True", "InUse", ""),
				condition("Degraded", "True", "NotReadInFull", "since 2026-01-02T02:04:05Z: KMS is down")}}},
		"never made": {controller.Status{ID: kmp, Err: down}, status{Error: "KMS is down", BriefError: "KMS is down",
			Conditions: []metav1.Condition{condition("Ready", "False", "NotUsable", "KMS is down"), condition("Degraded", "True", "NotReadInFull", "KMS is down")}}},
		"words that are no JSON": {controller.Status{ID: kmp, KeyMaterial: config.KeyMaterial{KeyStatus: map[string]any{"f": func() {}}}}, status{
			IsSuccess: true, Properties: map[string]any{"error": "json: unsupported type: func()"},
			Conditions: []metav1.Condition{condition("Ready", "True", "InUse", ""), condition("Degraded", "False", "ReadInFull", "")}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := newStatus(tt.status, 7); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestBrief(t *testing.T) {
	for _, long := range []string{strings.Repeat("x", 101), strings.Repeat("签", 50), strings.Repeat("x", 96) + "签名"} {
		if got := brief(long); len(got) > maxBriefError || !utf8.ValidString(got) || !strings.HasSuffix(got, "...") {
			t.Errorf("%q became %q", long, got)
		}
	}
	if short := strings.Repeat("x", 100); brief(short) != short {
		t.Error("what fits was shortened")
	}
}

func TestNews(t *testing.T) {
	id := controller.ID{Kind: "KeyManagementProvider", Name: "kmp"}
	fine := newStatus(controller.Status{ID: id}, 1)
	broken := newStatus(controller.Status{ID: id, Err: errors.New("no (request 1)")}, 1)
	brokenAgain := newStatus(controller.Status{ID: id, Err: errors.New("no (request 2)")}, 1)
	edited := newStatus(controller.Status{ID: id, Err: errors.New("no (request 3)")}, 2)
	degraded := newStatus(controller.Status{ID: id, Degraded: errors.New("down (request 1)")}, 1)
	degradedStill := newStatus(controller.Status{ID: id, Degraded: errors.New("down (request 2)")}, 1)
	for name, tt := range map[string]struct {
		before, after status
		want          string
	}{
		"new and fine":             {status{}, fine, ""},
		"new and broken":           {status{}, broken, "Warning NotUsable"},
		"breaks":                   {fine, broken, "Warning NotUsable"},
		"stays broken":             {broken, brokenAgain, ""},
		"is edited, still broken":  {broken, edited, "Warning NotUsable"},
		"mended":                   {broken, fine, "Normal InUse"},
		"written by Ratify v1.4":   {status{Error: "no", IsSuccess: false}, fine, "Normal InUse"},
		"degraded":                 {fine, degraded, "Warning NotReadInFull"},
		"stays degraded":           {degraded, degradedStill, ""},
		"no longer degraded":       {degraded, fine, "Normal ReadInFull"},
		"new and degraded":         {status{}, degraded, "Warning NotReadInFull"},
		"degraded, then it breaks": {degraded, broken, "Warning NotUsable"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if e := news(tt.before, tt.after); e != nil {
				got = e.kind + " " + e.reason
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
