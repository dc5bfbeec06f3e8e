{{- /* A Secret as a directory with one file: (list NAME SECRET KEY FILE). */ -}}
{{- define "guard.secretFile" -}}
- name: secret-{{ index . 0 }}
  secret:
    secretName: {{ index . 1 }}
    defaultMode: 0440
    items:
      - {key: {{ index . 2 | quote }}, path: {{ index . 3 }}}
{{- end }}

{{- /* The pod's volumes; in a StatefulSet the state is a claim of each pod's own. */ -}}
{{- define "guard.volumes" -}}
- name: config
  configMap:
    name: {{ .Values.existingConfigMap | default (printf "%s-config" (include "guard.fullname" .)) }}
{{- range list "policies" "rules" "tests" }}
- name: {{ . }}
  configMap:
    name: {{ include "guard.fullname" $ }}-{{ . }}
{{- end }}
{{- if eq (include "guard.kind" .) "Deployment" }}
- name: state
  {{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ toJson .Values.emptyDirSize }}
  {{- end }}
{{- end }}
- name: tmp
  emptyDir: {}
{{ include "guard.secretFile" (list "admin" .Values.admin.existingSecret .Values.admin.key "token") }}
{{- with .Values.pseudonymKey.existingSecret }}
{{ include "guard.secretFile" (list "pseudonym" . $.Values.pseudonymKey.key "key") }}
{{- end }}
{{- with .Values.ledger.passwordSecret }}
{{ include "guard.secretFile" (list "ledger" . $.Values.ledger.passwordKey "password") }}
{{- end }}
{{- with .Values.apiKeys.existingSecret }}
{{ include "guard.secretFile" (list "api-keys" . $.Values.apiKeys.key "keys.yaml") }}
{{- end }}
{{- range .Values.secretFiles }}
- name: secret-{{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
{{- end }}
{{- if eq .Values.mode "sidecar" }}
- name: cache
  {{- toYaml .Values.vllm.cache | nindent 2 }}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ toJson .Values.vllm.shm }}
- name: vllm-tmp
  emptyDir: {}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
