{{/* The key management providers whose certificates are trusted, in order, as JSON {"names": […]}. */}}
{{- define "ratify.certificateProviders" -}}
{{- $fullname := include "ratify.fullname" . -}}
{{- $names := list -}}
{{- if or .Values.azurekeyvault.enabled .Values.akvCertConfig.enabled -}}
  {{- $names = append $names "kmprovider-akv" -}}
{{- end -}}
{{- if and .Values.alibabacloudkms.enabled .Values.alibabacloudkms.certificates -}}
  {{- $names = append $names "kmprovider-alibabacloudkms" -}}
{{- end -}}
{{- if .Values.notationCert -}}
  {{- if .Values.notationCerts -}}
    {{- fail "notationCert and notationCerts are both set: move notationCert, which is deprecated, into the list notationCerts" -}}
  {{- end -}}
  {{- $names = append $names (printf "%s-notation-inline-cert" $fullname) -}}
{{- end -}}
{{- range $i, $certificate := .Values.notationCerts -}}
  {{- $names = append $names (printf "%s-notation-inline-cert-%d" $fullname $i) -}}
{{- end -}}
{{- dict "names" $names | toJson -}}
{{- end -}}

{{/* Resolves a trust store of a policy, such as ca:notationCerts[0], to JSON {"type": "ca", "provider": "ratify-notation-inline-cert-0"}. */}}
{{- define "ratify.trustStore" -}}
{{- $values := .context.Values -}}
{{- $type := splitList ":" .store | first -}}
{{- $reference := trimPrefix (printf "%s:" $type) .store -}}
{{- $provider := "" -}}
{{- if not (has $type (list "ca" "signingAuthority" "tsa")) -}}
  {{- fail (printf "notation.trustPolicies: trust store %q: the type before the colon is ca, signingAuthority or tsa" .store) -}}
{{- end -}}
{{- if regexMatch "^(?i)notationCerts\\[[0-9]+\\]$" $reference -}}
  {{- $index := regexFind "[0-9]+" $reference | int -}}
  {{- if ge $index (len $values.notationCerts) -}}
    {{- fail (printf "notation.trustPolicies: trust store %q: notationCerts has %d entries, counted from 0" .store (len $values.notationCerts)) -}}
  {{- end -}}
  {{- $provider = printf "%s-notation-inline-cert-%d" (include "ratify.fullname" .context) $index -}}
{{- else if eq (lower $reference) "azurekeyvault" -}}
  {{- if not (or $values.azurekeyvault.enabled $values.akvCertConfig.enabled) -}}
    {{- fail (printf "notation.trustPolicies: trust store %q: azurekeyvault.enabled is false" .store) -}}
  {{- end -}}
  {{- $provider = "kmprovider-akv" -}}
{{- else if eq (lower $reference) "alibabacloudkms" -}}
  {{- if not (and $values.alibabacloudkms.enabled $values.alibabacloudkms.certificates) -}}
    {{- fail (printf "notation.trustPolicies: trust store %q: alibabacloudkms.enabled is false, or alibabacloudkms.certificates is empty" .store) -}}
  {{- end -}}
  {{- $provider = "kmprovider-alibabacloudkms" -}}
{{- else -}}
  {{- fail (printf "notation.trustPolicies: trust store %q: what follows the type is notationCerts[<index>], alibabacloudkms or azurekeyvault" .store) -}}
{{- end -}}
{{- dict "type" $type "provider" $provider | toJson -}}
{{- end -}}

{{/* The key management providers whose keys cosign's verifier trusts, as JSON {"names": […]}. */}}
{{- define "ratify.keyProviders" -}}
{{- $fullname := include "ratify.fullname" . -}}
{{- $names := list -}}
{{- range $i, $key := .Values.cosignKeys -}}
  {{- $names = append $names (printf "%s-cosign-inline-key-%d" $fullname $i) -}}
{{- end -}}
{{- if and .Values.azurekeyvault.enabled .Values.azurekeyvault.keys -}}
  {{- $names = append $names "kmprovider-akv" -}}
{{- end -}}
{{- if and .Values.alibabacloudkms.enabled .Values.alibabacloudkms.keys -}}
  {{- $names = append $names "kmprovider-alibabacloudkms" -}}
{{- end -}}
{{- dict "names" $names | toJson -}}
{{- end -}}

{{/* "policies", "file" or "": how cosign's verifier is told whom to trust. Without anybody to trust there is no verifier. */}}
{{- define "ratify.cosign" -}}
{{- if .Values.cosign.enabled -}}
{{- $keyless := omit .Values.cosign.keyless "ctLogVerify" | values | compact -}}
{{- if or (include "ratify.keyProviders" . | fromJson).names $keyless -}}
policies
{{- else if .Values.cosign.key -}}
file
{{- end -}}
{{- end -}}
{{- end -}}
