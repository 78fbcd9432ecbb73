package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// rolloutTime is how long a Deployment may take to run, or to be blocked.
const rolloutTime = 90 * time.Second

// deploy creates a Deployment of one replica, with a container an image, in a namespace.
func (e *environment) deploy(ctx context.Context, namespace, name string, images ...string) error {
	var containers []object
	for i, image := range images {
		containers = append(containers, object{"name": fmt.Sprintf("c%d", i), "image": image})
	}
	labels := object{"app": name}
	manifest, err := json.Marshal(object{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": object{"name": name, "namespace": namespace},
		"spec": object{"selector": object{"matchLabels": labels}, "template": object{
			"metadata": object{"labels": labels}, "spec": object{"containers": containers, "terminationGracePeriodSeconds": 0}}},
	})
	if err != nil {
		return err
	}
	return e.apply(ctx, string(manifest))
}

// runs waits until a Deployment's pods run.
func (e *environment) runs(ctx context.Context, namespace, name string) error {
	_, err := e.kubectl(ctx, "rollout", "status", "deployment/"+name, "--namespace", namespace, "--timeout", rolloutTime.String())
	if err != nil {
		why, _ := e.kubectl(ctx, "get", "deployment", name, "--namespace", namespace, "--output", `jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].message}`)
		return fmt.Errorf("%w: %s", err, why)
	}
	return nil
}

// blocked waits until a Deployment says that its pods were refused, and returns what kubectl get deployment -o yaml says of why.
func (e *environment) blocked(ctx context.Context, namespace, name string) (string, error) {
	var yaml string
	err := eventually(ctx, rolloutTime, func(ctx context.Context) (err error) {
		if yaml, err = e.kubectl(ctx, "get", "deployment", name, "--namespace", namespace, "--output=yaml"); err != nil {
			return err
		}
		if !strings.Contains(yaml, "type: ReplicaFailure") {
			return fmt.Errorf("deployment %s has no condition ReplicaFailure", name)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	pods, err := e.kubectl(ctx, "get", "pods", "--namespace", namespace, "--selector", "app="+name, "--output=name")
	if err != nil {
		return "", err
	}
	if pods != "" {
		return "", fmt.Errorf("deployment %s is blocked, but has pods: %s", name, pods)
	}
	return strings.Join(strings.Fields(yaml), " "), nil // kubectl folds long lines
}

// deployRuns deploys an image and waits until it runs, then removes it.
func (e *environment) deployRuns(ctx context.Context, namespace, name string, images ...string) error {
	if err := e.deploy(ctx, namespace, name, images...); err != nil {
		return err
	}
	return errors.Join(e.runs(ctx, namespace, name), e.remove(ctx, namespace, name))
}

// deployBlocked deploys images and checks that they are refused, for reasons that contain all of the texts, then removes them.
func (e *environment) deployBlocked(ctx context.Context, namespace, name string, reasons []string, images ...string) error {
	if err := e.deploy(ctx, namespace, name, images...); err != nil {
		return err
	}
	yaml, err := e.blocked(ctx, namespace, name)
	for _, reason := range reasons {
		if err == nil && !strings.Contains(yaml, reason) {
			err = fmt.Errorf("kubectl get deployment %s -o yaml does not say %q: %s", name, reason, yaml)
		}
	}
	return errors.Join(err, e.remove(ctx, namespace, name))
}

func (e *environment) remove(ctx context.Context, namespace, name string) error {
	_, err := e.kubectl(ctx, "delete", "deployment", name, "--namespace", namespace, "--cascade=foreground", "--timeout=60s")
	return err
}

// tryPod asks for a pod without making one, and returns whether it would be admitted, and why not. Gatekeeper answers as for a real one.
func (e *environment) tryPod(ctx context.Context, namespace, image string) (admitted bool, why string) {
	manifest, _ := json.Marshal(object{
		"apiVersion": "v1", "kind": "Pod", "metadata": object{"generateName": "try-", "namespace": namespace},
		"spec": object{"containers": []object{{"name": "c", "image": image}}},
	})
	_, err := e.command(ctx, string(manifest), "kubectl", "create", "--dry-run=server", "--filename=-")
	if err != nil {
		return false, err.Error()
	}
	return true, ""
}

// admitted and refused check what becomes of a pod with an image, at the first attempt.
func (e *environment) admitted(ctx context.Context, namespace, image string) error {
	if admitted, why := e.tryPod(ctx, namespace, image); !admitted {
		return fmt.Errorf("%s is not admitted: %s", image, why)
	}
	return nil
}

func (e *environment) refused(ctx context.Context, namespace, image string, reasons ...string) error {
	admitted, why := e.tryPod(ctx, namespace, image)
	if admitted {
		return fmt.Errorf("%s is admitted", image)
	}
	for _, reason := range reasons {
		if !strings.Contains(why, reason) {
			return fmt.Errorf("%s is refused, but not because of %q: %s", image, reason, why)
		}
	}
	return nil
}
