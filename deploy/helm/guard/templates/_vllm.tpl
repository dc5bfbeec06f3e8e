{{- /* Asks vLLM from within the pod: the kubelet cannot reach its loopback. */ -}}
{{- define "guard.vllmProbe" -}}
exec:
  command:
    - python3
    - -I
    - -c
    - >-
      import http.client;
      server = http.client.HTTPConnection("127.0.0.1", {{ int .Values.vllm.port }}, timeout=4);
      server.request("GET", "/health");
      raise SystemExit(server.getresponse().status != 200)
timeoutSeconds: 5
periodSeconds: 10
{{- end }}

{{- /* vLLM's container, on loopback. */ -}}
{{- define "guard.vllm" -}}
name: vllm
image: {{ include "guard.image" (list . .Values.vllm.image .Values.vllm.image.tag) }}
imagePullPolicy: {{ .Values.vllm.image.pullPolicy }}
command: [vllm, serve]
args:
  - {{ .Values.vllm.model | quote }}
  {{- range .Values.vllm.args }}
  - {{ include "guard.word" . | quote }}
  {{- end }}
  # Last, so that they hold: nobody gets past Guard.
  - --host
  - 127.0.0.1
  - --port
  - {{ int .Values.vllm.port | quote }}
env:
  # Its user has no home in the image, and what it downloads and compiles goes to a volume.
  - {name: HOME, value: /cache}
  - {name: USER, value: vllm}
  - {name: XDG_CACHE_HOME, value: /cache}
  {{- with .Values.vllm.env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.vllm.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
lifecycle:
  preStop:
    # The answers in flight are vLLM's: it ends when Guard has drained and gone.
    exec:
      command:
        - python3
        - -I
        - -c
        - |
          import socket, time
          end = time.monotonic() + {{ add (ceil .Values.drain.delay | int) (ceil .Values.drain.seconds | int) 30 }}
          while time.monotonic() < end:
              try:
                  socket.create_connection(("localhost", {{ int .Values.ports.admin }}), 1).close()
              except OSError:
                  break
              time.sleep(0.2)
startupProbe:
  {{- include "guard.vllmProbe" . | nindent 2 }}
  failureThreshold: {{ divf .Values.vllm.startSeconds 10 | ceil | int }}
  terminationGracePeriodSeconds: 15
livenessProbe:
  {{- include "guard.vllmProbe" . | nindent 2 }}
  failureThreshold: 6
  # One that hangs has nothing to wait for.
  terminationGracePeriodSeconds: 15
readinessProbe:
  {{- include "guard.vllmProbe" . | nindent 2 }}
  failureThreshold: 3
{{- with .Values.vllm.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.vllm.securityContext | nindent 2 }}
volumeMounts:
  - {name: cache, mountPath: /cache}
  - {name: shm, mountPath: /dev/shm}
  - {name: vllm-tmp, mountPath: /tmp}
  {{- with .Values.vllm.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
