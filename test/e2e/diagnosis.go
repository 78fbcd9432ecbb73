package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/e2e/cluster"
)

// diagnosisTime bounds each question of a diagnosis: what failed may be the API server.
const diagnosisTime = 15 * time.Second

// tailLines is how much of a log a diagnosis has.
const tailLines = 25

// diagnose prints what tells why a check failed: the state of the pods, what was said of them, and the ends of logs.
func (e *environment) diagnose() {
	tail := fmt.Sprintf("--tail=%d", tailLines)
	for _, question := range [][]string{
		{"get", "pods", "--all-namespaces", "--output=wide"},
		{"get", "events", "--all-namespaces", "--field-selector=type=Warning", "--sort-by=.metadata.creationTimestamp"},
		{"logs", "--namespace", ratifyNamespace, "--selector=app.kubernetes.io/name=ratify", "--prefix", tail},
		{"logs", "--namespace", ratifyNamespace, "--selector=app.kubernetes.io/name=ratify", "--prefix", tail, "--previous"},
		{"logs", "--namespace", gatekeeperNamespace, "--selector=control-plane=controller-manager", "--prefix", tail},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), diagnosisTime)
		answer, err := e.kubectl(ctx, append(question, "--request-timeout=10s")...)
		cancel()
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

// printLog prints the last lines of a text below its title.
func printLog(title, text string) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	fmt.Printf("        --- %s\n        %s\n", title, strings.Join(lines, "\n        "))
}
