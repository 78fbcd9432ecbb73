package manager

import (
	"fmt"
	"maps"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
)

// The types of conditions.
const (
	// conditionReady says whether the resource, as it is now, is in use.
	conditionReady = "Ready"
	// conditionDegraded says whether a key management provider could not be read again in full.
	conditionDegraded = "Degraded"
)

// The reasons of conditions and events.
const (
	reasonInUse         = "InUse"
	reasonNotUsable     = "NotUsable"
	reasonLastUsable    = "LastUsableVersionInUse"
	reasonReadInFull    = "ReadInFull"
	reasonNotReadInFull = "NotReadInFull"
)

// maxBriefError is how long brieferror, which kubectl get shows, is with Ratify v1.4.
const maxBriefError = 100

// status is the status of a resource: Ratify's fields, and conditions.
type status struct {
	IsSuccess       bool               `json:"issuccess"`
	Error           string             `json:"error,omitempty"`
	BriefError      string             `json:"brieferror,omitempty"`
	LastFetchedTime *metav1.Time       `json:"lastfetchedtime,omitempty"`
	Properties      map[string]any     `json:"properties,omitempty"`
	Conditions      []metav1.Condition `json:"conditions,omitempty"`
}

// newStatus returns the status that says what became of a resource in the version of that generation, without the times of its conditions.
func newStatus(o controller.Status, generation int64) status {
	s := status{IsSuccess: o.Err == nil, Conditions: []metav1.Condition{ready(o)}}
	if o.Err != nil {
		s.Error = s.Conditions[0].Message
		s.BriefError = brief(s.Error)
	}
	if o.ID.IsKeyProvider() {
		s.Conditions = append(s.Conditions, degraded(o))
		s.Properties = properties(o)
		if !o.ReadAt.IsZero() {
			s.LastFetchedTime = &metav1.Time{Time: o.ReadAt.UTC().Truncate(time.Second)}
		}
	}
	for i := range s.Conditions {
		s.Conditions[i].ObservedGeneration = generation
	}
	return s
}

func ready(o controller.Status) metav1.Condition {
	c := metav1.Condition{Type: conditionReady, Status: metav1.ConditionTrue, Reason: reasonInUse}
	switch {
	case o.Err == nil:
	case o.Kept:
		c.Status, c.Reason = metav1.ConditionFalse, reasonLastUsable
		c.Message = printable.Line(o.Err.Error() + "; the last version that could be used stays in use")
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, reasonNotUsable, printable.Line(o.Err.Error())
	}
	return c
}

func degraded(o controller.Status) metav1.Condition {
	c := metav1.Condition{Type: conditionDegraded, Status: metav1.ConditionFalse, Reason: reasonReadInFull}
	switch {
	case o.Degraded != nil:
		c.Status, c.Reason = metav1.ConditionTrue, reasonNotReadInFull
		c.Message = printable.Line(fmt.Sprintf("since %s: %s", o.Since.UTC().Format(time.RFC3339), o.Degraded))
	case o.Err != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, reasonNotReadInFull, printable.Line(o.Err.Error())
	}
	return c
}

// properties returns what a provider tells of what it holds, as JSON has it.
func properties(o controller.Status) map[string]any {
	told := make(map[string]any)
	maps.Copy(told, o.KeyMaterial.KeyStatus)
	maps.Copy(told, o.KeyMaterial.CertificateStatus)
	if len(told) == 0 {
		return nil
	}
	var properties map[string]any
	words, err := json.Marshal(told) // providers use types of their own
	if err == nil {
		err = json.Unmarshal(words, &properties)
	}
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return properties
}

// brief shortens an error to what fits a column.
func brief(problem string) string {
	if len(problem) <= maxBriefError {
		return problem
	}
	return strings.ToValidUTF8(problem[:maxBriefError-len("...")], "") + "..."
}
