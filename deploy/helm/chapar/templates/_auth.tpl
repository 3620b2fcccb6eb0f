{{/* The issuers that services trust, and how sla and feedback sign their own calls. Verifiers get public parts only. */}}

{{/* Callers of services: sla calls the router, feedback calls ingest; with the most scopes that they may have there. */}}
{{- define "chapar.callersOf" -}}
{{- if eq . "router" -}}sla{{- else if eq . "ingest" -}}feedback{{- end -}}
{{- end -}}

{{- define "chapar.scopesOf" -}}
{{- if eq . "sla" -}}routing.escalate{{- else -}}outbound.send ingest.follow_up{{- end -}}
{{- end -}}

{{/* The trusted issuers of one service as JSON: those of the values, and the service that calls it with its own key. */}}
{{- define "chapar.issuers" -}}
{{- $auth := .root.Values.auth -}}
{{- $issuers := $auth.issuers -}}
{{- $caller := include "chapar.callersOf" .name -}}
{{- if $caller -}}
{{- $own := index $auth.services $caller -}}
{{- if $own.existingSecret -}}
{{- $trusted := dict "issuer" (printf "chapar.%s" $caller) "audience" $auth.audience "public_key_file" (printf "/etc/chapar/auth/%s.pem" $caller) "tenants" (list "*") "scopes" (splitList " " (include "chapar.scopesOf" $caller)) -}}
{{- $issuers = append $issuers $trusted -}}
{{- end -}}
{{- end -}}
{{- if $issuers -}}{{- toJson $issuers -}}{{- end -}}
{{- end -}}

{{- define "chapar.authEnv" -}}
{{- $auth := .root.Values.auth -}}
{{- $prefix := printf "CHAPAR_%s_" (upper .name) -}}
{{- if $auth.keys.existingSecret }}
- name: {{ $prefix }}JWT__{{ ternary "JWKS_FILE" "PUBLIC_KEY_FILE" (hasSuffix ".json" $auth.keys.key) }}
  value: /etc/chapar/auth/{{ $auth.keys.key }}
{{- end }}
- name: {{ $prefix }}JWT__ISSUER
  value: {{ $auth.issuer | quote }}
- name: {{ $prefix }}JWT__AUDIENCE
  value: {{ $auth.audience | quote }}
{{- with include "chapar.issuers" . }}
- name: {{ $prefix }}JWT__ISSUERS
  value: {{ . | quote }}
{{- end }}
{{- if hasKey $auth.services .name }}
{{- $own := index $auth.services .name }}
{{- if $own.existingSecret }}
- name: {{ $prefix }}SERVICE_TOKEN__KEY_FILE
  value: /etc/chapar/signing/{{ $own.privateKey }}
- name: {{ $prefix }}SERVICE_TOKEN__AUDIENCE
  value: {{ $auth.audience | quote }}
{{- else }}
- name: {{ $prefix }}SERVICE_TOKEN__TOKEN_URL
  value: {{ $auth.clientCredentials.tokenUrl | quote }}
- name: {{ $prefix }}SERVICE_TOKEN__CLIENT_ID
  value: {{ $own.clientId | quote }}
- name: {{ $prefix }}SERVICE_TOKEN__CLIENT_SECRET_FILE
  value: /etc/chapar/signing/{{ $own.clientSecretKey }}
- name: {{ $prefix }}SERVICE_TOKEN__SCOPE
  value: {{ default $auth.clientCredentials.scope $own.scope | quote }}
- name: {{ $prefix }}SERVICE_TOKEN__AUDIENCE
  value: {{ $auth.clientCredentials.audience | quote }}
{{- if $auth.caSecret }}
- name: {{ $prefix }}SERVICE_TOKEN__CA_FILE
  value: /etc/chapar/issuer-ca/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "chapar.authMounts" -}}
{{- $auth := .root.Values.auth -}}
{{- if include "chapar.authSources" . }}
- {name: auth, mountPath: /etc/chapar/auth, readOnly: true}
{{- end }}
{{- if hasKey $auth.services .name }}
- {name: signing, mountPath: /etc/chapar/signing, readOnly: true}
{{- end }}
{{- if $auth.caSecret }}
- {name: issuer-ca, mountPath: /etc/chapar/issuer-ca, readOnly: true}
{{- end }}
{{- end -}}

{{/* Public parts, each from its Secret, without the private key in the same Secret. */}}
{{- define "chapar.authSources" -}}
{{- $auth := .root.Values.auth -}}
{{- with $auth.keys.existingSecret }}
- secret:
    name: {{ . }}
    items: [{key: {{ $auth.keys.key }}, path: {{ $auth.keys.key }}}]
{{- end }}
{{- $caller := include "chapar.callersOf" .name -}}
{{- if $caller }}
{{- $own := index $auth.services $caller }}
{{- with $own.existingSecret }}
- secret:
    name: {{ . }}
    items: [{key: {{ $own.publicKey }}, path: {{ $caller }}.pem}]
{{- end }}
{{- end }}
{{- end -}}

{{- define "chapar.authVolumes" -}}
{{- $auth := .root.Values.auth -}}
{{- with include "chapar.authSources" . | trim }}
- name: auth
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- if hasKey $auth.services .name }}
{{- $own := index $auth.services .name }}
- name: signing
  secret:
    secretName: {{ $own.existingSecret | default $own.clientSecret }}
    defaultMode: 0440
    items: [{key: {{ ternary $own.privateKey $own.clientSecretKey (ne $own.existingSecret "") }}, path: {{ ternary $own.privateKey $own.clientSecretKey (ne $own.existingSecret "") }}}]
{{- end }}
{{- with $auth.caSecret }}
- name: issuer-ca
  secret:
    secretName: {{ . }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end -}}

{{- define "chapar.authValidate" -}}
{{- $auth := .Values.auth -}}
{{- if not (or $auth.keys.existingSecret $auth.issuers) -}}{{- fail "auth.keys.existingSecret or auth.issuers is required: the public keys that verify callers' tokens" -}}{{- end -}}
{{- range $name, $own := $auth.services -}}
{{- if and $own.existingSecret $own.clientId -}}{{- fail (printf "auth.services.%s: give existingSecret (a key pair) or clientId (client credentials), not both" $name) -}}{{- end -}}
{{- if not (or $own.existingSecret (and $own.clientId $own.clientSecret $auth.clientCredentials.tokenUrl)) -}}{{- fail (printf "auth.services.%s.existingSecret is required: the key pair that signs its own calls; or clientId and clientSecret with auth.clientCredentials.tokenUrl" $name) -}}{{- end -}}
{{- end -}}
{{- if not .Values.feedback.linkSecret -}}{{- fail "feedback.linkSecret is required: it signs survey links" -}}{{- end -}}
{{- end -}}
