{{- /* Guard's container. */ -}}
{{- define "guard.container" -}}
name: guard
image: {{ include "guard.image" (list . .Values.image (.Values.image.tag | default .Chart.AppVersion)) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [guard, serve]
{{- if include "guard.native" . }}
restartPolicy: Always
{{- end }}
env:
  - {name: GUARD_CONFIG, value: /etc/guard/guard.yaml}
  {{- if .Values.existingConfigMap }}
  # What the pod's ports and volumes rest on holds whatever the file says.
  - {name: GUARD_LISTEN, value: {{ printf "%s:%d" .Values.bind (int .Values.ports.http) | quote }}}
  - {name: GUARD_ADMIN, value: {{ printf "%s:%d" .Values.bind (int .Values.ports.admin) | quote }}}
  - {name: GUARD_UPSTREAM, value: {{ include "guard.upstream" . | quote }}}
  {{- end }}
  {{- if or .Values.existingConfigMap .Values.lastGood }}
  - {name: GUARD_STATE_DIR, value: /var/lib/guard}
  {{- end }}
  {{- if .Values.lastGood }}
  - {name: GUARD_LAST_GOOD, value: "1"}
  {{- end }}
  {{- if .Values.ledger.existingSecret }}
  - name: GUARD_LEDGER
    valueFrom:
      secretKeyRef: {name: {{ .Values.ledger.existingSecret }}, key: {{ .Values.ledger.key }}}
  {{- else if and .Values.existingConfigMap .Values.ledger.url }}
  - {name: GUARD_LEDGER, value: {{ include "guard.ledgerUrl" . | quote }}}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - {name: http, containerPort: {{ .Values.ports.http }}, protocol: TCP}
  - {name: admin, containerPort: {{ .Values.ports.admin }}, protocol: TCP}
{{- if include "guard.native" . }}
lifecycle:
  preStop:
    # The signal comes to a native sidecar when the others have ended, and vLLM waits for Guard to have drained.
    exec:
      command: [python, -I, -c, "import os, signal; os.kill(1, signal.SIGTERM)"]
{{- end }}
startupProbe:
  httpGet: {path: /healthz, port: {{ .Values.ports.admin }}}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: {{ .Values.ports.admin }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
  terminationGracePeriodSeconds: 30
readinessProbe:
  httpGet: {path: /readyz, port: {{ .Values.ports.admin }}}
  periodSeconds: 2
  timeoutSeconds: 2
  {{- /* Where others go on serving, a worker may be replaced, which takes some ten seconds, before the pod is taken out. */}}
  failureThreshold: {{ ternary 8 1 (gt (int (.Values.config.workers | default 1)) 1) }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  # Directories, never subPath: a file mounted by itself does not change until the pod is replaced.
  - {name: config, mountPath: /etc/guard, readOnly: true}
  - {name: policies, mountPath: /etc/guard.d/policies, readOnly: true}
  - {name: rules, mountPath: /etc/guard.d/rules, readOnly: true}
  - {name: tests, mountPath: /etc/guard.d/tests, readOnly: true}
  - {name: state, mountPath: /var/lib/guard}
  - {name: tmp, mountPath: /tmp}
  - {name: secret-admin, mountPath: /run/secrets/guard/admin, readOnly: true}
  {{- if .Values.pseudonymKey.existingSecret }}
  - {name: secret-pseudonym, mountPath: /run/secrets/guard/pseudonym, readOnly: true}
  {{- end }}
  {{- if .Values.ledger.passwordSecret }}
  - {name: secret-ledger, mountPath: /run/secrets/guard/ledger, readOnly: true}
  {{- end }}
  {{- if .Values.apiKeys.existingSecret }}
  - {name: secret-api-keys, mountPath: /run/secrets/guard/api-keys, readOnly: true}
  {{- end }}
  {{- range .Values.secretFiles }}
  - {name: secret-{{ .name }}, mountPath: /run/secrets/guard/{{ .name }}, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
