{{/* How KEDA logs in to Kafka to read the lag. It uses the users of the services: they have the rights on these groups and topics. */}}

{{/* "true" when the chart makes the TriggerAuthentications itself. */}}
{{- define "chapar.kedaCreates" -}}
{{- if and (not .Values.keda.authenticationRef) (or .Values.kafka.tls.enabled (ne .Values.kafka.authentication "none")) -}}true{{- end -}}
{{- end -}}

{{- define "chapar.kedaSasl" -}}
{{- index (dict "none" "none" "tls" "none" "plain" "plaintext" "scram-sha-256" "scram_sha256" "scram-sha-512" "scram_sha512") .Values.kafka.authentication -}}
{{- end -}}

{{/* Name of the TriggerAuthentication: (dict "root" $ "name" "ingest"). Empty: without one. */}}
{{- define "chapar.kedaReference" -}}
{{- if include "chapar.kedaCreates" .root -}}
{{ include "chapar.fullname" .root }}-{{ .name }}-kafka
{{- else -}}
{{ .root.Values.keda.authenticationRef }}
{{- end -}}
{{- end -}}

{{- define "chapar.kedaAuthentication" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $user := index $kafka.users .name -}}
---
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata:
  name: {{ include "chapar.kedaReference" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "chapar.labels" (dict "root" .root "name" .name) | nindent 4 }}
spec:
  {{- if not (has $kafka.authentication (list "none" "tls")) }}
  # The user's name is not a secret, and Strimzi's Secrets do not hold it: it is read from the scaled pods.
  env:
    - {parameter: username, name: KAFKA_SASL_USERNAME, containerName: {{ .name }}}
  {{- end }}
  {{- $secrets := list }}
  {{- if not (has $kafka.authentication (list "none" "tls")) }}
  {{- $secrets = append $secrets (dict "parameter" "password" "name" $user.existingSecret "key" $user.passwordKey) }}
  {{- end }}
  {{- if eq $kafka.authentication "tls" }}
  {{- $secrets = append $secrets (dict "parameter" "cert" "name" $user.existingSecret "key" "user.crt") }}
  {{- $secrets = append $secrets (dict "parameter" "key" "name" $user.existingSecret "key" "user.key") }}
  {{- end }}
  {{- if and $kafka.tls.enabled $kafka.tls.caSecret }}
  {{- $secrets = append $secrets (dict "parameter" "ca" "name" $kafka.tls.caSecret "key" $kafka.tls.caKey) }}
  {{- end }}
  {{- with $secrets }}
  secretTargetRef:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
