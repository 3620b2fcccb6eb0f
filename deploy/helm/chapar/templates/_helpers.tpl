{{- define "chapar.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "chapar.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "chapar.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "chapar.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that select: (dict "root" $ "name" "router") */}}
{{- define "chapar.selector" -}}
app.kubernetes.io/name: {{ include "chapar.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{/* Labels of every object, without those of commonLabels. */}}
{{- define "chapar.standardLabels" -}}
{{ include "chapar.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: chapar
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "chapar.labels" -}}
{{ include "chapar.standardLabels" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Components with pods of services, as JSON; ingest may be three Deployments. */}}
{{- define "chapar.components" -}}
{{- $found := list "ingest" "router" "sla" "feedback" -}}
{{- if .Values.ingest.split.enabled -}}{{- $found = concat $found (list "ingest-lanes" "ingest-history") -}}{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{- define "chapar.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "chapar.tlsSecret" -}}
{{- default (printf "%s-%s-tls" (include "chapar.fullname" .root) .name) (index .root.Values.tls.secrets .name) -}}
{{- end -}}

{{/* Name of a headless Service: gRPC clients distribute calls over the pods to which it resolves. */}}
{{- define "chapar.headless" -}}
{{ include "chapar.fullname" .root }}-{{ .name }}-grpc
{{- end -}}

{{- define "chapar.headlessDns" -}}
{{ include "chapar.headless" . }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end -}}

{{/* Variables with the addresses of Kafka and the user of the service. */}}
{{- define "chapar.kafkaEnv" -}}
{{- $kafka := .root.Values.kafka -}}
{{- $user := index $kafka.users .name -}}
{{- $sasl := not (has $kafka.authentication (list "none" "tls")) -}}
- name: KAFKA_BOOTSTRAP_SERVERS
  value: {{ $kafka.bootstrapServers | quote }}
- name: CHAPAR_TOPIC_PREFIX
  value: {{ .root.Values.topicPrefix | quote }}
- name: KAFKA_SECURITY_PROTOCOL
  value: {{ if $sasl }}{{ ternary "SASL_SSL" "SASL_PLAINTEXT" $kafka.tls.enabled }}{{ else }}{{ ternary "SSL" "PLAINTEXT" $kafka.tls.enabled }}{{ end }}
{{- if $sasl }}
- name: KAFKA_SASL_MECHANISM
  value: {{ upper $kafka.authentication }}
- name: KAFKA_SASL_USERNAME
  value: {{ $user.name | quote }}
- name: KAFKA_SASL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $user.existingSecret }}
      key: {{ $user.passwordKey }}
{{- end }}
{{- if and $kafka.tls.enabled $kafka.tls.caSecret }}
- name: KAFKA_SSL_CAFILE
  value: /etc/chapar/kafka-ca/{{ $kafka.tls.caKey }}
{{- end }}
{{- if eq $kafka.authentication "tls" }}
- name: KAFKA_SSL_CERTFILE
  value: /etc/chapar/kafka-user/user.crt
- name: KAFKA_SSL_KEYFILE
  value: /etc/chapar/kafka-user/user.key
{{- end }}
{{- end -}}

{{- define "chapar.kafkaMounts" -}}
{{- $kafka := .root.Values.kafka -}}
{{- if and $kafka.tls.enabled $kafka.tls.caSecret }}
- name: kafka-ca
  mountPath: /etc/chapar/kafka-ca
  readOnly: true
{{- end }}
{{- if eq $kafka.authentication "tls" }}
- name: kafka-user
  mountPath: /etc/chapar/kafka-user
  readOnly: true
{{- end }}
{{- end -}}

{{- define "chapar.kafkaVolumes" -}}
{{- $kafka := .root.Values.kafka -}}
{{- if and $kafka.tls.enabled $kafka.tls.caSecret }}
- name: kafka-ca
  secret:
    secretName: {{ $kafka.tls.caSecret }}
    items:
      - key: {{ $kafka.tls.caKey }}
        path: {{ $kafka.tls.caKey }}
{{- end }}
{{- if eq $kafka.authentication "tls" }}
- name: kafka-user
  secret:
    secretName: {{ (index $kafka.users .name).existingSecret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* Secrets that sign webhooks, in the same form for both services that send them. */}}
{{- define "chapar.webhookFrom" -}}
{{- range .Values.webhooks.secretsEnv }}
- secretRef:
    name: {{ . }}
{{- end }}
{{- end -}}

{{- define "chapar.webhookMounts" -}}
{{- range $index, $each := .Values.webhooks.secretsFiles }}
- {name: tenant-secret-{{ $index }}, mountPath: /etc/chapar/secrets/{{ $each.tenant }}/{{ $each.secret }}, readOnly: true}
{{- end }}
{{- end -}}

{{- define "chapar.webhookVolumes" -}}
{{- range $index, $each := .Values.webhooks.secretsFiles }}
- name: tenant-secret-{{ $index }}
  secret:
    secretName: {{ $each.secret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{/* A value as the text of a setting. Helm reads every number as a float and prints it as 4.194304e+06; JSON prints 4194304. */}}
{{- define "chapar.text" -}}
{{- if kindIs "string" . -}}{{- . -}}{{- else -}}{{- toJson . -}}{{- end -}}
{{- end -}}

{{/* Settings as variables. A map whose keys are settings goes one level down (JWT: {LEEWAY_S: 5} is JWT__LEEWAY_S); any other map is JSON. */}}
{{- define "chapar.settings" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
{{- $inner := and (kindIs "map" $value) (not (empty $value)) }}
{{- if $inner }}{{- range $key := keys $value }}{{- if not (regexMatch "^[A-Z][A-Z0-9_]*$" $key) }}{{- $inner = false }}{{- end }}{{- end }}{{- end }}
{{- if $inner }}
{{ include "chapar.settings" (dict "prefix" (printf "%s%s__" $prefix $name) "settings" $value) | trim }}
{{- else }}
- name: {{ $prefix }}{{ $name }}
  value: {{ include "chapar.text" $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Destinations that `chapar config lint` accepts: the same as the services. */}}
{{- define "chapar.lintEnv" -}}
{{- with .Values.outgoingAllow -}}
- name: CHAPAR_OUTGOING_ALLOW
  value: {{ join "," . | quote }}
{{- end -}}
{{- end -}}

{{/* Checks that the schema cannot express. Every workload calls it. */}}
{{- define "chapar.validate" -}}
{{- $v := .Values -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "chapar.fullname" .)) -}}{{- fail (printf "%s cannot be the name of a Service: set fullnameOverride to a DNS label that begins with a letter" (include "chapar.fullname" .)) -}}{{- end -}}
{{- if not $v.kafka.bootstrapServers -}}{{- fail "kafka.bootstrapServers is required: host:port of the cluster" -}}{{- end -}}
{{- include "chapar.authValidate" . -}}
{{- include "chapar.routesValidate" . -}}
{{- if not $v.personal.masterKeySecret -}}{{- fail "personal.masterKeySecret is required: the Secret with the master keys of personal data" -}}{{- end -}}
{{- if and $v.tls.certManager.enabled (not $v.tls.certManager.issuerRef.name) -}}{{- fail "tls.certManager.issuerRef.name is required when tls.certManager.enabled" -}}{{- end -}}
{{- if and (eq $v.kafka.authentication "tls") (not $v.kafka.tls.enabled) -}}{{- fail "kafka.authentication tls needs kafka.tls.enabled" -}}{{- end -}}
{{- if and (gt (int $v.ingest.replicas) 1) (not $v.ingest.database.existingSecret) (ne (toString (index $v.ingest.settings "HISTORY")) "false") -}}{{- fail "more than one replica of ingest needs ingest.database.existingSecret (history in PostgreSQL), or ingest.settings.HISTORY=false: with a SQLite file in each pod, each pod would have a different history" -}}{{- end -}}
{{- if and $v.ingest.split.enabled (not $v.ingest.database.existingSecret) -}}{{- fail "ingest.split.enabled needs ingest.database.existingSecret: the edges read the history that another Deployment writes" -}}{{- end -}}
{{- if and $v.ingest.split.enabled (eq (toString (index $v.ingest.settings "HISTORY")) "false") -}}{{- fail "ingest.split.enabled needs history: without it, ingest.settings.HISTORY=false, one Deployment runs edges and lanes" -}}{{- end -}}
{{- $files := or $v.ingest.files.url $v.ingest.files.existingClaim -}}
{{- if and $v.ingest.files.url $v.ingest.files.existingClaim -}}{{- fail "give ingest.files.url or ingest.files.existingClaim, not both" -}}{{- end -}}
{{- if and (or (gt (int $v.ingest.replicas) 1) $v.ingest.split.enabled) (not $files) -}}{{- fail "more than one pod of ingest needs ingest.files.url (a bucket) or ingest.files.existingClaim (a volume that all of them can write): otherwise the files of customers are in one pod, and are lost with it" -}}{{- end -}}
{{- if hasKey $v.ingest.settings "FILES_URL" -}}{{- fail "ingest.settings.FILES_URL: write ingest.files instead" -}}{{- end -}}
{{- range $name := keys $v.ingest.settings -}}{{- if eq (upper $name) "FILES_CLAMD" -}}{{- fail "ingest.settings.FILES_CLAMD: write ingest.files.scanner instead; otherwise the network policy closes the way to it" -}}{{- end -}}{{- end -}}
{{- if hasKey $v.ingest.settings "ROLE" -}}{{- fail "ingest.settings.ROLE: write ingest.split instead" -}}{{- end -}}
{{- if and $v.apply.existingConfigMap $v.apply.tenants -}}{{- fail "give apply.tenants or apply.existingConfigMap, not both" -}}{{- end -}}
{{- range $service := list "ingest" "sla" "feedback" -}}
{{- range $name := keys (index $v $service).settings -}}{{- if eq (upper $name) "OUTGOING_ALLOW" -}}{{- fail (printf "%s.settings.OUTGOING_ALLOW: write outgoingAllow instead; otherwise the hook refuses configurations that the service would accept" $service) -}}{{- end -}}{{- end -}}
{{- end -}}
{{- $sum := add $v.shutdown.preStopSeconds $v.shutdown.drainSeconds (mul 2 $v.shutdown.stopSeconds) -}}
{{- if ge (int $sum) (int $v.shutdown.terminationGracePeriodSeconds) -}}{{- fail (printf "shutdown: preStop + drain + 2 x stop is %d s and must be below terminationGracePeriodSeconds %d" (int $sum) (int $v.shutdown.terminationGracePeriodSeconds)) -}}{{- end -}}
{{- end -}}
