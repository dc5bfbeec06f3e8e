{{- /* The URL of the ledger, with the file of its password. */ -}}
{{- define "guard.ledgerUrl" -}}
{{- with .Values.ledger.url }}
{{- . }}
{{- if $.Values.ledger.passwordSecret }}
{{- ternary "&" "?" (contains "?" .) }}password_file=/run/secrets/guard/ledger/password
{{- end }}
{{- end }}
{{- end }}

{{- define "guard.upstream" -}}
{{- if eq .Values.mode "sidecar" }}http://127.0.0.1:{{ int .Values.vllm.port }}{{ else }}{{ .Values.gateway.upstream }}{{ end }}
{{- end }}

{{- /* `config` and what the chart sets, without tenants. */ -}}
{{- define "guard.settings" -}}
{{- $config := deepCopy .Values.config }}
{{- $_ := set $config "listen" (printf "%s:%d" .Values.bind (int .Values.ports.http)) }}
{{- $_ := set $config "admin" (printf "%s:%d" .Values.bind (int .Values.ports.admin)) }}
{{- $_ := set $config "admin_token_file" "/run/secrets/guard/admin/token" }}
{{- $_ := set $config "state_dir" "/var/lib/guard" }}
{{- $_ := set $config "upstream" (include "guard.upstream" .) }}
{{- $_ := set $config "drain" (pick .Values.drain "delay" "seconds") }}
{{- if .Values.ledger.url }}
{{- $_ := set $config "usage" (set (get $config "usage" | default dict) "ledger" (include "guard.ledgerUrl" .)) }}
{{- end }}
{{- $identity := get $config "identity" | default dict }}
{{- if .Values.pseudonymKey.existingSecret }}
{{- $_ := set $identity "pseudonym_key_file" "/run/secrets/guard/pseudonym/key" }}
{{- end }}
{{- if .Values.apiKeys.existingSecret }}
{{- $_ := set $identity "keys_file" "/run/secrets/guard/api-keys/keys.yaml" }}
{{- end }}
{{- if $identity }}{{ $_ := set $config "identity" $identity }}{{ end }}
{{- if .Values.policies }}
{{- $_ := set $config "policies" (append (get $config "policies" | default list) "/etc/guard.d/policies") }}
{{- end }}
{{- if .Values.tests }}
{{- $_ := set $config "tests" (append (get $config "tests" | default list) "/etc/guard.d/tests") }}
{{- end }}
{{- if .Values.rules }}
{{- $screening := get $config "screening" | default dict }}
{{- $_ := set $screening "rules" (append (get $screening "rules" | default list) "/etc/guard.d/rules") }}
{{- $_ := set $config "screening" $screening }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* guard.yaml. Tenants stand in the order of the list: of several that match the first one applies. */ -}}
{{- define "guard.yaml" -}}
{{ include "guard.settings" . }}
{{- if .Values.tenants }}
tenants:
{{- range .Values.tenants }}
  {{ .name | quote }}:
    {{- omit . "name" | toYaml | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A digest of the settings that Guard reads at its start only: files/starting.txt names them. */ -}}
{{- define "guard.starting" -}}
{{- $settings := include "guard.settings" . | fromYaml }}
{{- $read := dict }}
{{- range .Files.Lines "files/starting.txt" }}
{{- $value := $settings }}
{{- range splitList "." . }}
{{- if kindIs "map" $value }}{{ $value = get $value . }}{{ else }}{{ $value = "" }}{{ end }}
{{- end }}
{{- if not (eq (toJson $value) "\"\"") }}{{ $_ := set $read . $value }}{{ end }}
{{- end }}
{{- toJson $read | sha256sum }}
{{- end }}
