{{- define "guard.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "guard.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "guard.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "guard.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "guard.selectorLabels" -}}
app.kubernetes.io/name: {{ include "guard.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "guard.labels" -}}
{{ include "guard.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "guard.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "guard.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* The reference of an image: (list ROOT IMAGE TAG). A digest goes before a tag. */ -}}
{{- define "guard.image" -}}
{{- $root := index . 0 }}
{{- $image := index . 1 }}
{{- $tag := index . 2 }}
{{- with $image.registry | default $root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}
{{- $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end }}

{{- /* A value as the word that was written: printed as it is, 1048576 would be 1.048576e+06. */ -}}
{{- define "guard.word" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}

{{- /* What keeps the state: StatefulSet with a volume for each pod, else Deployment. */ -}}
{{- define "guard.kind" -}}
{{- if and .Values.persistence.enabled (not .Values.persistence.existingClaim) }}StatefulSet{{ else }}Deployment{{ end }}
{{- end }}

{{- /* "yes" if Guard is a native sidecar, else nothing. */ -}}
{{- define "guard.native" -}}
{{- $native := toString .Values.sidecar.native }}
{{- $able := semverCompare ">=1.29-0" .Capabilities.KubeVersion.Version }}
{{- if and (eq .Values.mode "sidecar") (or (eq $native "true") (and (eq $native "auto") $able)) }}yes{{ end }}
{{- end }}

{{- /* "yes" if there may be more than one pod, else nothing. */ -}}
{{- define "guard.several" -}}
{{- $most := .Values.replicas }}
{{- if .Values.autoscaling.enabled }}{{ $most = .Values.autoscaling.maxReplicas }}{{ end }}
{{- if gt (int $most) 1 }}yes{{ end }}
{{- end }}

{{- /* "yes" if the ledger is a Redis, else nothing; of a URL in a Secret that is believed. */ -}}
{{- define "guard.redis" -}}
{{- if or .Values.ledger.existingSecret (hasPrefix "redis" .Values.ledger.url) }}yes{{ end }}
{{- end }}

{{- /* Seconds that a pod needs to end: what drains, up to 30 for stores that do not answer, and vLLM's own end. */ -}}
{{- define "guard.ending" -}}
{{- $vllm := ternary 15 0 (eq .Values.mode "sidecar") }}
{{- add (ceil .Values.drain.delay | int) (ceil .Values.drain.seconds | int) 30 $vllm }}
{{- end }}
