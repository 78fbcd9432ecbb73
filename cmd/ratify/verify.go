package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ratify-project/ratify/pkg/executor/types"
	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/builtin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// commandTimeout bounds a command that talks to registries: nobody waits longer at a terminal, nor should a CI job.
const commandTimeout = time.Minute

type verifyOptions struct {
	target
	output        string
	artifactTypes []string
	silent        bool
}

func newVerify() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify an image",
		Long: `Verify an image as the server would.

Exit codes: 0 the image is verified, 1 it is refused, 2 it could not be found out.`,
		Example: "  ratify verify -c config.json -s demo-registry.cn-hangzhou.cr.aliyuncs.com/app/web:v1 -o table",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return verify(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	o.addTo(cmd)
	cmd.Flags().StringVarP(&o.output, "output", "o", "json", "json or table")
	cmd.Flags().StringArrayVarP(&o.artifactTypes, "artifactType", "t", nil, "look at referrers of this artifact type only; may be repeated")
	cmd.Flags().BoolVar(&o.silent, "silent", false, "print nothing; the exit code tells")
	return cmd
}

func verify(ctx context.Context, w io.Writer, o verifyOptions) error {
	if o.output != "json" && o.output != "table" {
		return fmt.Errorf("--output %s is not supported; use json or table", o.output)
	}
	c, err := config.Load(config.Path(o.configPath), slog.Default())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	// The executor's time-outs are those of an admission request. On the command line there is more time.
	limit := int(commandTimeout / time.Millisecond)
	c.Executor.VerificationRequestTimeout = &limit
	env := newEnvironment()
	if env.revocation, err = builtin.NewRevocation(c.CRL.Cache.Enabled, slog.Default()); err != nil {
		return err
	}
	builder := &config.Builder{Factories: env.factories(), Log: slog.Default()}
	snapshot, err := builder.Build(ctx, c)
	if err != nil {
		return err
	}
	engine := verification.NewEngine(verification.Options{ArtifactTypes: o.artifactTypes})
	engine.Load(snapshot)
	verdict := engine.Verify(ctx, "", o.subject)
	if !o.silent {
		if err := printVerdict(w, o.output, verdict); err != nil {
			return err
		}
	}
	switch verdict.Outcome {
	case verification.Verified:
		return nil
	case verification.Refused:
		return exitCode(exitRefused)
	default:
		return exitCode(exitUndetermined)
	}
}

func printVerdict(w io.Writer, format string, v verification.Verdict) error {
	problem := ""
	if v.Err != nil {
		problem = v.Err.Error()
	}
	if format == "table" {
		return printTable(w, v, problem)
	}
	reports := v.Reports
	if reports == nil {
		reports = []json.RawMessage{} // a list in JSON, too, as scripts expect
	}
	return printJSON(w, struct {
		IsSuccess       bool              `json:"isSuccess"`
		Outcome         string            `json:"outcome"`
		Error           string            `json:"error,omitempty"`
		VerifierReports []json.RawMessage `json:"verifierReports"`
	}{v.Outcome == verification.Verified, v.Outcome.String(), problem, reports})
}

func printTable(w io.Writer, v verification.Verdict, problem string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "SUBJECT\t%s\nVERDICT\t%s\n", v.Subject, v.Outcome)
	if problem != "" {
		fmt.Fprintf(table, "REASON\t%s\n", problem)
	}
	found, err := rows(v)
	if err != nil {
		return err
	}
	for _, row := range found {
		fmt.Fprintf(table, "\nSIGNATURE\t%s\nVERIFIER\t%s\nSUCCESS\t%t\nMESSAGE\t%s\n", orDash(row.digest), orDash(row.verifier), row.success, row.message)
	}
	return table.Flush()
}

// row is a report of either form.
type row struct {
	digest, verifier, message string
	success                   bool
}

func rows(v verification.Verdict) ([]row, error) {
	var all []row
	for _, encoded := range v.Reports {
		if v.PolicyType == policytypes.RegoPolicy {
			var report types.NestedVerifierReport
			if err := json.Unmarshal(encoded, &report); err != nil {
				return nil, err
			}
			for _, r := range report.VerifierReports {
				all = append(all, row{report.ReferenceDigest, r.VerifierName, sentence(r.Message, r.ErrorReason, r.Remediation), r.IsSuccess})
			}
			continue
		}
		var report verifier.VerifierResult
		if err := json.Unmarshal(encoded, &report); err != nil {
			return nil, err
		}
		all = append(all, row{report.ReferenceDigest, report.VerifierName,
			sentence(report.Message, report.ErrorReason, report.Remediation), report.IsSuccess})
	}
	return all, nil
}

func sentence(parts ...string) string {
	var said []string
	for _, part := range parts {
		if part != "" {
			said = append(said, part)
		}
	}
	return strings.Join(said, ": ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}
