{{/* Ingress and Gateway API: ways from outside to the services. */}}

{{/* gRPC services that agents' desks call, by the pods that have them. A test compares the list with the contracts. */}}
{{- define "chapar.agentServices" -}}
feedback: [chapar.feedback.v1.FeedbackService]
ingest: [chapar.ingest.v1.IngestService, chapar.ingest.v1.OutboundService, chapar.ingest.v1.PersonService]
router: [chapar.router.v1.AgentService, chapar.router.v1.RoutingService, chapar.router.v1.AgentDirectoryService]
sla: [chapar.sla.v1.SlaService]
{{- end -}}

{{- define "chapar.routeMetadata" -}}
labels:
  {{- include "chapar.labels" . | nindent 2 }}
{{- with .root.Values.gateway.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Address of the survey pages, which links name: feedback.publicUrl, or the host of the Ingress or the Gateway. */}}
{{- define "chapar.surveyUrl" -}}
{{- $v := .Values -}}
{{- if $v.feedback.publicUrl -}}{{- $v.feedback.publicUrl -}}
{{- else if and $v.ingress.enabled $v.ingress.feedback.host -}}https://{{ $v.ingress.feedback.host }}
{{- else if and $v.gateway.enabled $v.gateway.feedback.host -}}https://{{ $v.gateway.feedback.host }}
{{- end -}}
{{- end -}}

{{- define "chapar.routesValidate" -}}
{{- $v := .Values -}}
{{- if and $v.ingress.enabled (not (or $v.ingress.ingest.host $v.ingress.feedback.host)) -}}{{- fail "ingress.enabled needs ingress.ingest.host or ingress.feedback.host" -}}{{- end -}}
{{- if $v.gateway.enabled -}}
{{- if not (or $v.gateway.ingest.host $v.gateway.feedback.host $v.gateway.agents.host $v.gateway.smtp.enabled) -}}{{- fail "gateway.enabled needs a host of gateway.ingest, gateway.feedback or gateway.agents, or gateway.smtp.enabled" -}}{{- end -}}
{{- if and (or $v.gateway.ingest.host $v.gateway.feedback.host $v.gateway.agents.host) (not $v.gateway.parentRefs) -}}{{- fail "gateway.parentRefs is empty: name the Gateway" -}}{{- end -}}
{{- if $v.gateway.agents.host -}}
{{- if $v.tls.mutual -}}{{- fail "gateway.agents.host with tls.mutual: the gateway would end the agents' TLS, and their certificates with it. Use router.service.type LoadBalancer" -}}{{- end -}}
{{- if not $v.gateway.agents.authorityConfigMap -}}{{- fail "gateway.agents.authorityConfigMap names a ConfigMap with ca.crt, the authority of the services' certificates" -}}{{- end -}}
{{- end -}}
{{- if $v.gateway.smtp.enabled -}}
{{- if not $v.ingest.smtp.enabled -}}{{- fail "gateway.smtp.enabled needs ingest.smtp.enabled" -}}{{- end -}}
{{- if not $v.gateway.smtp.parentRefs -}}{{- fail "gateway.smtp.parentRefs is empty: name the Gateway and its TCP listener" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- range $where, $service := dict "ingest.service" $v.ingest.service "feedback.service" $v.feedback.service "router.service" $v.router.service "ingest.smtp.service" $v.ingest.smtp.service -}}
{{- if eq $service.type "ClusterIP" -}}
{{- if $service.externalTrafficPolicy -}}{{- fail (printf "%s.externalTrafficPolicy needs type NodePort or LoadBalancer" $where) -}}{{- end -}}
{{- end -}}
{{- if ne $service.type "LoadBalancer" -}}
{{- if or $service.loadBalancerClass $service.loadBalancerSourceRanges -}}{{- fail (printf "%s: loadBalancerClass and loadBalancerSourceRanges need type LoadBalancer" $where) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
