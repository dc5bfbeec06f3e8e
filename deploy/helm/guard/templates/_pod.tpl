{{- /* The pod's template. */ -}}
{{- define "guard.pod" -}}
metadata:
  labels:
    {{- include "guard.selectorLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- $annotations := dict "kubectl.kubernetes.io/default-container" (ternary "vllm" "guard" (eq .Values.mode "sidecar")) }}
  {{- if eq .Values.reload.mode "restart" }}
  {{- $_ := set $annotations "checksum/config" (list (ternary "" (include "guard.yaml" .) (not (empty .Values.existingConfigMap))) .Values.files .Values.policies .Values.rules .Values.tests | toJson | sha256sum) }}
  {{- else if not .Values.existingConfigMap }}
  {{- $_ := set $annotations "checksum/starting" (include "guard.starting" .) }}
  {{- end }}
  annotations:
    {{- mergeOverwrite $annotations .Values.podAnnotations | toYaml | nindent 4 }}
spec:
  serviceAccountName: {{ include "guard.serviceAccountName" . }}
  automountServiceAccountToken: false
  # A Service called guard or vllm would put GUARD_... and VLLM_PORT into the environment.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ if kindIs "invalid" .Values.terminationGracePeriodSeconds }}{{ include "guard.ending" . }}{{ else }}{{ int .Values.terminationGracePeriodSeconds }}{{ end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- $pulls := concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq }}
  {{- with $pulls }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ toYaml . | nindent 6 | trim }}
      {{- if not .labelSelector }}
      labelSelector:
        matchLabels:
          {{- include "guard.selectorLabels" $ | nindent 10 }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- if include "guard.native" . }}
  initContainers:
    - {{ include "guard.container" . | nindent 6 | trim }}
  containers:
    - {{ include "guard.vllm" . | nindent 6 | trim }}
  {{- else }}
  containers:
    # Guard first: the kubelet begins them in order, and pulls vLLM's image for long.
    - {{ include "guard.container" . | nindent 6 | trim }}
    {{- if eq .Values.mode "sidecar" }}
    - {{ include "guard.vllm" . | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  volumes:
    {{- include "guard.volumes" . | nindent 4 }}
{{- end }}
