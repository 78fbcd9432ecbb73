{{/* Names and labels. */}}
{{- define "ratify.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A release whose name has the chart's in it needs no suffix. */}}
{{- define "ratify.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ratify.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ratify.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "ratify.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "ratify.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* The page of the marketplace writes ServiceAccount with a capital letter. */}}
{{- define "ratify.serviceAccount" -}}
{{- mergeOverwrite (deepCopy .Values.serviceAccount) (default dict .Values.ServiceAccount) | toYaml -}}
{{- end -}}

{{- define "ratify.serviceAccountName" -}}
{{- $account := include "ratify.serviceAccount" . | fromYaml -}}
{{- if or $account.create .Values.azureWorkloadIdentity.clientId -}}
{{- default (include "ratify.fullname" .) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{- define "ratify.image" -}}
{{- $image := .Values.image -}}
{{- $tag := default .Chart.AppVersion $image.tag -}}
{{- if eq $image.variant "slim" -}}
  {{- with (include "ratify.onlyFull" . | fromJson).values -}}
    {{- fail (printf "image.variant is slim, and its image cannot do what %s asks for: set image.variant=full, or leave that out" (join ", " .)) -}}
  {{- end -}}
  {{- $tag = printf "%s-slim" (trimSuffix "-slim" $tag) -}}
{{- end -}}
{{- if $image.digest -}}
{{- printf "%s:%s@%s" $image.repository $tag $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/* The values that are in effect and that only the full image can serve, as JSON {"values": […]}. */}}
{{- define "ratify.onlyFull" -}}
{{- $asked := dict
  "akvCertConfig.enabled" .Values.akvCertConfig.enabled
  "azurekeyvault.enabled" .Values.azurekeyvault.enabled
  "cosign.enabled" (include "ratify.cosign" .)
  "oras.authProviders.awsEcrBasicEnabled" .Values.oras.authProviders.awsEcrBasicEnabled
  "oras.authProviders.azureManagedIdentityEnabled" .Values.oras.authProviders.azureManagedIdentityEnabled
  "oras.authProviders.azureWorkloadIdentityEnabled" .Values.oras.authProviders.azureWorkloadIdentityEnabled
  "policy.useRego" .Values.policy.useRego
  "sbom.enabled" .Values.sbom.enabled
  "vulnerabilityreport.enabled" .Values.vulnerabilityreport.enabled -}}
{{- $values := list -}}
{{- range $name, $on := $asked -}}
  {{- if $on -}}
    {{- $values = append $values $name -}}
  {{- end -}}
{{- end -}}
{{- dict "values" $values | toJson -}}
{{- end -}}

{{- define "ratify.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
runAsGroup: 65532
runAsNonRoot: true
runAsUser: 65532
{{- if .Values.enableRuntimeDefaultSeccompProfile }}
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- end -}}

{{- define "ratify.gatekeeperNamespace" -}}
{{- default "gatekeeper-system" .Values.gatekeeper.namespace -}}
{{- end -}}

{{/* "true" if clients must show a certificate. Gatekeeper's CA is in Gatekeeper's namespace, from which alone it can be mounted. */}}
{{- define "ratify.clientCertificate" -}}
{{- $required := .Values.gatekeeper.clientCertificate.required -}}
{{- if kindIs "bool" $required -}}
{{- $required -}}
{{- else -}}
{{- eq .Release.Namespace (include "ratify.gatekeeperNamespace" .) -}}
{{- end -}}
{{- end -}}

{{/* "rotated", "given" or "yours": who makes the server's certificate. */}}
{{- define "ratify.tls" -}}
{{- $tls := .Values.provider.tls -}}
{{- $given := list $tls.crt $tls.key $tls.caCert $tls.caKey | compact | len -}}
{{- if eq $given 4 -}}
  {{- if not $tls.cabundle -}}
    {{- fail "provider.tls.cabundle is missing: the base64 of provider.tls.caCert" -}}
  {{- end -}}
given
{{- else if gt $given 0 -}}
  {{- fail "provider.tls needs all of crt, key, caCert, caKey and cabundle; leave all empty to have certificates made (featureFlags.RATIFY_CERT_ROTATION)" -}}
{{- else if and $tls.cabundle .Values.featureFlags.RATIFY_CERT_ROTATION -}}
  {{- fail (printf "provider.tls.cabundle is given alone, and featureFlags.RATIFY_CERT_ROTATION makes a CA besides: set that to false if Secret %s-tls is yours, or else leave provider.tls.cabundle empty" (include "ratify.fullname" .)) -}}
{{- else if .Values.featureFlags.RATIFY_CERT_ROTATION -}}
rotated
{{- else if $tls.cabundle -}}
yours
{{- else -}}
  {{- fail (printf "no TLS certificate: set featureFlags.RATIFY_CERT_ROTATION=true to have one made, or give provider.tls.crt, key, caCert, caKey and cabundle, or keep one in Secret %s-tls yourself and give its CA as provider.tls.cabundle" (include "ratify.fullname" .)) -}}
{{- end -}}
{{- end -}}

{{/* Gatekeeper refuses Providers without a CA. The one that stands for Ratify's own never changes, so that an upgrade does not touch what Ratify wrote there. */}}
{{- define "ratify.caBundle" -}}
{{- if eq (include "ratify.tls" .) "rotated" -}}
{{- .Files.Get "files/placeholder-ca.crt" | b64enc -}}
{{- else -}}
{{- .Values.provider.tls.cabundle -}}
{{- end -}}
{{- end -}}
