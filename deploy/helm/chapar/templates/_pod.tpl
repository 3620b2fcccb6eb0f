{{/* Parts that every pod has in common. "own" are the values of a service; without them, only the values for all pods count. */}}

{{/* Labels and annotations of a pod: (dict "root" $ "name" "router" "own" … "annotations" (dict …)) */}}
{{- define "chapar.podMetadata" -}}
{{- $own := default dict .own -}}
labels:
  {{- include "chapar.standardLabels" (dict "root" .root "name" .name) | nindent 2 }}
  {{- with merge dict (default dict $own.podLabels) .root.Values.podLabels .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict (default dict $own.podAnnotations) .root.Values.podAnnotations (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "chapar.serviceAccount" -}}
{{- $own := .Values.serviceAccount -}}
{{- if $own.create -}}{{- default (include "chapar.fullname" .) $own.name -}}{{- else -}}{{- default "default" $own.name -}}{{- end -}}
{{- end -}}

{{/* How pods of a component spread over zones and nodes: (dict "root" $ "name" … "own" …) */}}
{{- define "chapar.spread" -}}
{{- $constraints := .root.Values.topologySpreadConstraints -}}
{{- if hasKey .own "topologySpreadConstraints" -}}{{- $constraints = .own.topologySpreadConstraints -}}{{- end -}}
{{- if $constraints }}
topologySpreadConstraints:
  {{- range $constraints }}
  - {{ toYaml . | indent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "chapar.selector" (dict "root" $.root "name" $.name) | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Variables that an operator adds, for all pods and for one service; they come last, so that they win. */}}
{{- define "chapar.extraEnv" -}}
{{- with concat (default list .root.Values.extraEnv) (default list (default dict .own).extraEnv) }}
{{- toYaml . }}
{{- end }}
{{- end -}}

{{/* How a Service is reached from outside: its own values. */}}
{{- define "chapar.exposure" -}}
type: {{ .type }}
{{- with .externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
