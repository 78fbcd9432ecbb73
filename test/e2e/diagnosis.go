package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/e2e/cluster"
)

// diagnosisTime bounds each question of a diagnosis: what failed may be the API server.
const diagnosisTime = 15 * time.Second

// tailLines and lineBytes are how much of a log a diagnosis has.
const tailLines, lineBytes = 25, 600

// diagnose prints what tells why a check failed: the state of the pods, what was said of them, and the ends of logs.
func (e *environment) diagnose() {
	log := func(namespace, selector string, more ...string) []string {
		return append([]string{"logs", "--namespace", namespace, "--selector", selector, "--prefix", "--tail=200"}, more...)
	}
	for _, question := range [][]string{
		{"get", "pods", "--all-namespaces", "--output=wide"},
		// But for what Gatekeeper says of each image that is refused.
		{"get", "events", "--all-namespaces", "--field-selector=type=Warning,reason!=FailedAdmission", "--sort-by=.metadata.creationTimestamp"},
		log(ratifyNamespace, "app.kubernetes.io/name=ratify"),
		log(ratifyNamespace, "app.kubernetes.io/name=ratify", "--previous"),
		log(gatekeeperNamespace, "control-plane=controller-manager"),
	} {
		ctx, cancel := context.WithTimeout(context.Background(), diagnosisTime)
		answer, err := e.kubectl(ctx, append(question, "--request-timeout=10s")...)
		cancel()
		if err != nil && slices.Contains(question, "--previous") {
			continue // it has not restarted
		}
		if err != nil {
			answer += err.Error()
		}
		printLog("kubectl "+strings.Join(question, " "), answer)
	}
}

// diagnoseStart prints the ends of the logs of the cluster's programs.
func diagnoseStart(c *cluster.Cluster) {
	for _, program := range cluster.Programs {
		log, err := os.ReadFile(c.LogFile(program))
		if err != nil {
			continue // it was not started
		}
		printLog(c.LogFile(program), string(log))
	}
}

// printLog prints the last lines of a text below its title, but for what Gatekeeper only informs of.
func printLog(title, text string) {
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool { return strings.Contains(line, `"level":"info"`) })
	lines = lines[max(0, len(lines)-tailLines):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), lineBytes)]
	}
	fmt.Printf("        --- %s\n        %s\n", title, strings.Join(lines, "\n        "))
}
