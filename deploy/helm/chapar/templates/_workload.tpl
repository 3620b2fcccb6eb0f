{{/* The pod of a service: (dict "root" $ "name" "router" "env" "<yaml list>" "mounts" … "volumes" … "ports" … "envFrom" …). A part of a service
     has its own "component", "own" (its values), and "role", when it is not the part that answers by gRPC. */}}
{{- define "chapar.pod" -}}
{{- $root := .root -}}
{{- $v := $root.Values -}}
{{- $own := default (index $v .name) .own -}}
{{- $component := default .name .component -}}
{{- $prefix := printf "CHAPAR_%s_" (upper .name) -}}
{{- $down := $v.shutdown -}}
{{- $tells := has .name (list "sla" "feedback") -}}
metadata:
  {{- include "chapar.podMetadata" (dict "root" $root "name" $component "own" $own "annotations" (dict "kubectl.kubernetes.io/default-container" .name)) | nindent 2 }}
spec:
  serviceAccountName: {{ include "chapar.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $down.terminationGracePeriodSeconds }}
  {{- with $own.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $v.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "chapar.spread" (dict "root" $root "name" $component "own" $own) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $own.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .name }}
      image: {{ include "chapar.image" $root }}
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [{{ .name }}]
      {{- with $v.containerSecurityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- $from := .envFrom }}
      {{- if $tells }}{{- $from = include "chapar.webhookFrom" $root | trim }}{{- end }}
      {{- with $own.extraEnvFrom }}{{- $from = printf "%s\n%s" (default "" $from) (toYaml .) | trim }}{{- end }}
      {{- with $from }}
      envFrom:
        {{- . | nindent 8 }}
      {{- end }}
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        # The instance is the name of the pod. The addresses of its shards and sessions derive from it.
        - name: {{ $prefix }}INSTANCE
          value: $(POD_NAME)
        {{- include "chapar.kafkaEnv" (dict "root" $root "name" .name) | nindent 8 }}
        - name: {{ $prefix }}HEALTH_PORT
          value: '9091'
        - name: {{ $prefix }}DRAIN_S
          value: {{ include "chapar.text" $down.drainSeconds | quote }}
        - name: {{ $prefix }}STOP_GRACE_S
          value: {{ include "chapar.text" $down.stopSeconds | quote }}
        - name: {{ $prefix }}TLS_CERT_FILE
          value: /etc/chapar/tls/tls.crt
        - name: {{ $prefix }}TLS_KEY_FILE
          value: /etc/chapar/tls/tls.key
        {{- if $v.tls.mutual }}
        - name: {{ $prefix }}TLS_CA_FILE
          value: /etc/chapar/tls/ca.crt
        {{- end }}
        {{- include "chapar.authEnv" (dict "root" $root "name" .name) | nindent 8 }}
        {{- with $v.tracing.endpoint }}
        - name: {{ $prefix }}OTLP_ENDPOINT
          value: {{ . | quote }}
        - name: {{ $prefix }}TRACE_RATIO
          value: {{ include "chapar.text" $v.tracing.ratio | quote }}
        {{- end }}
        {{- if $v.monitoring.tenants }}
        - name: {{ $prefix }}METRICS__TENANTS
          value: "true"
        {{- end }}
        {{- if and $tells $v.webhooks.secretsFiles }}
        - name: {{ $prefix }}SECRETS_DIR
          value: /etc/chapar/secrets
        {{- end }}
        {{- if and $v.outgoingAllow (ne .name "router") }}
        - name: {{ $prefix }}OUTGOING_ALLOW
          value: {{ join "," $v.outgoingAllow | quote }}
        {{- end }}
        {{- if and $v.trustedProxies (has .name (list "ingest" "feedback")) }}
        - name: {{ $prefix }}HTTP_PROXIES
          value: {{ join "," $v.trustedProxies | quote }}
        {{- end }}
        {{- if ne .name "sla" }}
        {{- $files := list }}
        {{- range $v.personal.masterKeys }}{{- $files = append $files (printf "/etc/chapar/personal/%s" .) }}{{- end }}
        - name: {{ $prefix }}PERSONAL__KEY_FILES
          value: {{ toJson $files | quote }}
        - name: {{ $prefix }}PERSONAL__KEYS_DIR
          value: /var/lib/chapar
        {{- end }}
        {{- with .env }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with include "chapar.settings" (dict "prefix" $prefix "settings" (index $v .name).settings) | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with include "chapar.extraEnv" (dict "root" $root "own" $own) | trim }}
        {{- . | nindent 8 }}
        {{- end }}
      ports:
        {{- if not .role }}
        - {name: grpc, containerPort: 9000}
        {{- end }}
        - {name: ops, containerPort: 9090}
        {{- if not .role }}
        - {name: health, containerPort: 9091}
        {{- end }}
        {{- with .ports }}
        {{- . | nindent 8 }}
        {{- end }}
      # Startup: the state is restored. Readiness: the service accepts calls and messages. Liveness: the event loop runs, independently of the broker.
      startupProbe:
        httpGet: {path: /startupz, port: ops}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 120
      readinessProbe:
        httpGet: {path: /readyz, port: ops}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /healthz, port: ops}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      lifecycle:
        preStop:
          exec:
            command: [python, -c, import time; time.sleep({{ $down.preStopSeconds }})]
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      volumeMounts:
        - {name: tls, mountPath: /etc/chapar/tls, readOnly: true}
        {{- with include "chapar.authMounts" (dict "root" $root "name" .name) | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- if ne .name "sla" }}
        - {name: personal, mountPath: /etc/chapar/personal, readOnly: true}
        {{- end }}
        - {name: state, mountPath: /var/lib/chapar}
        - {name: tmp, mountPath: /tmp}
        {{- with include "chapar.kafkaMounts" (dict "root" $root "name" .name) | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- with .mounts }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- if $tells }}
        {{- with include "chapar.webhookMounts" $root | trim }}
        {{- . | nindent 8 }}
        {{- end }}
        {{- end }}
        {{- with $own.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tls
      secret:
        secretName: {{ include "chapar.tlsSecret" (dict "root" $root "name" .name) }}
        defaultMode: 0440
    {{- with include "chapar.authVolumes" (dict "root" $root "name" .name) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if ne .name "sla" }}
    - name: personal
      secret:
        secretName: {{ $v.personal.masterKeySecret }}
        defaultMode: 0440
    {{- end }}
    - name: state
      emptyDir: {sizeLimit: 2Gi}
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
    {{- with include "chapar.kafkaVolumes" (dict "root" $root "name" .name) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with .volumes }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- if $tells }}
    {{- with include "chapar.webhookVolumes" $root | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- with $own.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
