package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"
)

// sarif returns a report with one finding.
func sarif(scanner, cve, severity string) string {
	return fmt.Sprintf(`{"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0-rtm.5.json", "runs": [{
		"tool": {"driver": {"name": %q, "rules": [{"id": %q, "help": {"text": "Vulnerability\nSeverity: %s\nPackage: log4j"}}]}},
		"results": [{"ruleId": %[2]q, "ruleIndex": 0, "message": {"text": "found"}}]}]}`, scanner, cve, severity)
}

func vulnerabilities(ctx context.Context, e *environment) error {
	// The parameters of config_v1beta1_verifier_vulnerabilityreport.yaml among Ratify's samples.
	config := e.pluginConfig(map[string]any{everyArtifact: "all"}, map[string]any{
		"name": "vulnerabilityreport", "artifactTypes": sarifJSON, "maximumAge": "24h",
		"disallowedSeverities": []string{"high", "critical"}, "denylistCVEs": []string{"CVE-2021-44228"},
	})
	now := time.Now()
	return e.cases(ctx, config, "reports", []pluginCase{
		{"low", sarifJSON, sarif("Trivy", "CVE-2020-1", "LOW"), now, "verified", []string{"Validation succeeded"}},
		{"grype", sarifJSON, sarif("Grype", "CVE-2020-1-log4j", "Low"), now, "verified", []string{"Validation succeeded"}},
		{"denied", sarifJSON, sarif("Trivy", "CVE-2021-44228", "LOW"), now, "refused", []string{"CVE-2021-44228"}},
		{"high", sarifJSON, sarif("Grype", "CVE-2020-2-log4j", "High"), now, "refused", []string{"severityViolations", "CVE-2020-2"}},
		{"old", sarifJSON, sarif("Trivy", "CVE-2020-1", "LOW"), now.Add(-25 * time.Hour), "refused", []string{"older than maximum age"}},
		{"no-report", sarifJSON, `{"version": "2.1.0"}`, now, "refused", []string{"Schema validation failed"}},
	})
}

// spdxText returns an SBOM in the tag-value format.
func spdxText(license string) string {
	return "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\nSPDXID: SPDXRef-DOCUMENT\nDocumentName: app\n" +
		"DocumentNamespace: https://example.com/app\nCreator: Tool: interop\nCreated: 2026-01-01T00:00:00Z\n\n" +
		"PackageName: musl\nSPDXID: SPDXRef-musl\nPackageVersion: 1\nPackageDownloadLocation: NONE\nFilesAnalyzed: false\n" +
		"PackageLicenseConcluded: " + license + "\nPackageLicenseDeclared: " + license + "\nPackageCopyrightText: NONE\n"
}

func licenses(ctx context.Context, e *environment) error {
	config := e.pluginConfig(map[string]any{everyArtifact: "all"}, map[string]any{
		"name": "verifier-license-checker", "type": "licensechecker", "artifactTypes": spdxTagValue, "allowedLicenses": []string{"MIT", "NONE"},
	})
	return e.cases(ctx, config, "licenses", []pluginCase{
		{"allowed", spdxTagValue, spdxText("MIT"), time.Time{}, "verified", []string{"All packages have allowed licenses"}},
		{"other", spdxTagValue, spdxText("GPL-3.0-only"), time.Time{}, "refused", []string{"License Check: FAILED", "GPL-3.0-only"}},
		// The program takes what it cannot parse for a failure of its own.
		{"broken", spdxTagValue, "not SPDX", time.Time{}, "undetermined", []string{"exit status 1"}},
	})
}

func schemas(ctx context.Context, e *environment) error {
	schema, err := e.write("schema.json", []byte(`{"type": "object", "required": ["runs"]}`))
	if err != nil {
		return err
	}
	validator := func(url string) []byte {
		return e.pluginConfig(map[string]any{everyArtifact: "all"}, map[string]any{
			"name": "schemavalidator", "artifactTypes": sarifJSON, "schemas": map[string]string{sarifJSON: url},
		})
	}
	err = e.cases(ctx, validator("file://"+schema), "schemas", []pluginCase{
		{"right", sarifJSON, `{"runs": []}`, time.Time{}, "verified", []string{"schema validation passed"}},
		{"wrong", sarifJSON, `{"run": []}`, time.Time{}, "refused", []string{"schema validation failed", "runs is required"}},
	})
	if err != nil {
		return err
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	return e.cases(ctx, validator(closed.URL), "schemas", []pluginCase{
		{"unknown", sarifJSON, `{"runs": []}`, time.Time{}, "undetermined", []string{"connection refused"}},
	})
}
