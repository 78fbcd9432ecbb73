package manager

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	component = "ratify"
	// maxEventMessage is the API server's limit of a message.
	maxEventMessage = 1024
)

// event is what is told about a resource.
type event struct{ kind, reason, message string }

// news returns the event of what differs between two statuses: a problem, also one of a newer version, or its end. A problem whose words change
// is none: errors of clouds have the number of the request in them.
func news(before, after status) *event {
	if !after.IsSuccess {
		was, is := condition(before, conditionReady), condition(after, conditionReady)
		if before.Error != "" && was.ObservedGeneration == is.ObservedGeneration && was.Reason == is.Reason {
			return nil
		}
		return &event{corev1.EventTypeWarning, is.Reason, is.Message}
	}
	if before.Error != "" {
		return &event{corev1.EventTypeNormal, reasonInUse, "it can be used again"}
	}
	was, is := condition(before, conditionDegraded), condition(after, conditionDegraded)
	wasTrue, isTrue := was.Status == metav1.ConditionTrue, is.Status == metav1.ConditionTrue
	switch {
	case isTrue && !wasTrue:
		return &event{corev1.EventTypeWarning, is.Reason, is.Message}
	case wasTrue && !isTrue:
		return &event{corev1.EventTypeNormal, is.Reason, "it could be read again in full"}
	}
	return nil
}

// condition returns a condition of a status, or an empty one.
func condition(s status, name string) metav1.Condition {
	if c := meta.FindStatusCondition(s.Conditions, name); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// event writes an event about an object. It does not use client-go's recorders: they drop the message of an event that is like another but for
// its message, and events when there are many.
func (s *statuses) event(ctx context.Context, about *unstructured.Unstructured, e event) error {
	namespace := about.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault // where events of cluster-wide objects are
	}
	message := e.message
	if len(message) > maxEventMessage {
		message = strings.ToValidUTF8(message[:maxEventMessage-len("…")], "") + "…"
	}
	now := time.Now()
	written := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: about.GetName() + "."},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: about.GetAPIVersion(), Kind: about.GetKind(), Namespace: about.GetNamespace(), Name: about.GetName(),
			UID: about.GetUID(), ResourceVersion: about.GetResourceVersion(),
		},
		Type: e.kind, Reason: e.reason, Message: message, Count: 1,
		FirstTimestamp: metav1.NewTime(now), LastTimestamp: metav1.NewTime(now),
		Source:              corev1.EventSource{Component: component},
		ReportingController: component, ReportingInstance: s.instance,
	}
	if err := s.client.Create(ctx, written); err != nil {
		return fmt.Errorf("write an event: %w", err)
	}
	return nil
}
