{{- /* Every mistake that the schema cannot see, at once. */ -}}
{{- define "guard.mistakes" -}}
{{- $v := .Values }}
{{- $said := list }}
{{- $several := include "guard.several" . }}
{{- $sidecar := eq $v.mode "sidecar" }}

{{- if not $v.admin.existingSecret }}
{{- $said = append $said "admin.existingSecret: the Secret with the token of the admin port is missing; allowed: its name, after kubectl create secret generic guard-admin --from-literal=token=\"$(openssl rand -hex 32)\"" }}
{{- end }}
{{- if and $sidecar (not $v.vllm.model) }}
{{- $said = append $said "vllm.model: what vLLM serves is missing; allowed: a repository or a directory, or mode: gateway with gateway.upstream" }}
{{- end }}
{{- if and (not $sidecar) (not $v.gateway.upstream) }}
{{- $said = append $said "gateway.upstream: the inference server is missing; allowed: its URL, such as http://vllm.models.svc:8000" }}
{{- end }}
{{- if and $sidecar $v.gateway.upstream }}
{{- $said = append $said "gateway.upstream: set in mode sidecar, where Guard stands before the vLLM of its own pod; allowed: mode: gateway" }}
{{- end }}
{{- range $v.vllm.args }}
{{- if regexMatch "^--(host|port|uds)(=|$)" (include "guard.word" .) }}
{{- $said = append $said (printf "vllm.args: %v; allowed: any but --host, --port and --uds, because vLLM listens on loopback alone, at vllm.port" .) }}
{{- end }}
{{- end }}
{{- if and (eq (toString $v.sidecar.native) "true") (not (semverCompare ">=1.29-0" .Capabilities.KubeVersion.Version)) }}
{{- $said = append $said (printf "sidecar.native: true, and Kubernetes %s has no native sidecars; allowed: auto, false, or 1.29 and newer" .Capabilities.KubeVersion.Version) }}
{{- end }}
{{- $ports := list (int $v.ports.http) (int $v.ports.admin) }}
{{- if $sidecar }}{{ $ports = append $ports (int $v.vllm.port) }}{{ end }}
{{- if ne (len (uniq $ports)) (len $ports) }}
{{- $said = append $said "ports.http, ports.admin, vllm.port: two are the same; allowed: different ones" }}
{{- end }}

{{- range $name, $instead := dict "listen" "bind, ports.http" "admin" "bind, ports.admin" "admin_token_file" "admin.existingSecret" "state_dir" "persistence" "upstream" "mode, gateway.upstream" "drain" "drain" "tenants" "tenants, a list in the order in which they are tried" }}
{{- if hasKey $v.config $name }}
{{- $said = append $said (printf "config.%s: the chart sets it; allowed: %s" $name $instead) }}
{{- end }}
{{- end }}
{{- if hasKey ($v.config.usage | default dict) "ledger" }}
{{- $said = append $said "config.usage.ledger: the chart sets it; allowed: ledger.url, ledger.existingSecret" }}
{{- end }}
{{- range $name, $instead := dict "pseudonym_key_file" "pseudonymKey.existingSecret" "keys_file" "apiKeys.existingSecret" }}
{{- if hasKey ($v.config.identity | default dict) $name }}
{{- $said = append $said (printf "config.identity.%s: the chart sets it; allowed: %s" $name $instead) }}
{{- end }}
{{- end }}
{{- if $v.existingConfigMap }}
{{- range $name := list "config" "tenants" "files" }}
{{- if get $v $name }}
{{- $said = append $said (printf "%s: set beside existingConfigMap, which has all of it; allowed: one of the two" $name) }}
{{- end }}
{{- end }}
{{- else if not (or $v.config.models $v.config.license (eq (toString $v.config.unknown_models) "undetermined")) }}
{{- $said = append $said "config.models: no model is listed, so every request would be refused; allowed: the served names with their licenses, such as {chat: {license: llama-3.1}}, or config.license" }}
{{- end }}
{{- if hasKey $v.files "guard.yaml" }}
{{- $said = append $said "files: guard.yaml; allowed: other names, and config" }}
{{- end }}

{{- if and $v.ledger.url $v.ledger.existingSecret }}
{{- $said = append $said "ledger: url and existingSecret; allowed: one of the two" }}
{{- end }}
{{- if regexMatch "^[a-z+]+://[^/?@]*:[^/?@]+@" $v.ledger.url }}
{{- $said = append $said "ledger.url: it holds a password; allowed: a URL without one beside ledger.passwordSecret, or ledger.existingSecret" }}
{{- end }}
{{- if and $v.ledger.passwordSecret (not (hasPrefix "redis" $v.ledger.url)) }}
{{- $said = append $said "ledger.passwordSecret: there is no Redis that it belongs to; allowed: with ledger.url" }}
{{- end }}
{{- if $several }}
{{- $why := ternary "autoscaling" "replicas" $v.autoscaling.enabled }}
{{- if not (include "guard.redis" .) }}
{{- $said = append $said (printf "%s: more than one pod, each with a ledger of its own, would count users apart; allowed: one, or ledger.url (or ledger.existingSecret) of a Redis" $why) }}
{{- end }}
{{- if not $v.pseudonymKey.existingSecret }}
{{- $said = append $said (printf "%s: more than one pod need the same pseudonym key; allowed: one, or pseudonymKey.existingSecret, after kubectl create secret generic guard-pseudonym --from-literal=pseudonym.key=\"$(openssl rand -hex 32)\"" $why) }}
{{- end }}
{{- if and $v.persistence.enabled $v.persistence.existingClaim }}
{{- $said = append $said (printf "%s: more than one pod cannot share persistence.existingClaim; allowed: one, or a volume for each (persistence.existingClaim empty)" $why) }}
{{- end }}
{{- end }}

{{- $names := list "admin" "pseudonym" "ledger" "api-keys" }}
{{- range $v.secretFiles }}
{{- if has .name $names }}
{{- $said = append $said (printf "secretFiles: %s is taken; allowed: another name" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- $tenants := list }}
{{- range $v.tenants }}
{{- if has .name $tenants }}
{{- $said = append $said (printf "tenants: %s is there twice; allowed: each once" .name) }}
{{- end }}
{{- $tenants = append $tenants .name }}
{{- end }}

{{- $needed := include "guard.ending" . | int }}
{{- if and (not (kindIs "invalid" $v.terminationGracePeriodSeconds)) (lt (int $v.terminationGracePeriodSeconds) $needed) }}
{{- $said = append $said (printf "terminationGracePeriodSeconds: %d, in which answers and stores could not finish; allowed: %d and more (drain.delay, drain.seconds, the stores, vLLM), or none" (int $v.terminationGracePeriodSeconds) $needed) }}
{{- end }}

{{- if $v.autoscaling.enabled }}
{{- if gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas) }}
{{- $said = append $said "autoscaling.minReplicas: more than maxReplicas; allowed: fewer" }}
{{- end }}
{{- if and $sidecar (not $v.autoscaling.metrics) }}
{{- $said = append $said "autoscaling.metrics: none, and in mode sidecar no use of the CPU tells vLLM's load; allowed: metrics, such as vLLM's waiting requests" }}
{{- else if not (or $v.autoscaling.targetCPU $v.autoscaling.metrics) }}
{{- $said = append $said "autoscaling: nothing to scale by; allowed: targetCPU or metrics" }}
{{- else if and (not $sidecar) $v.autoscaling.targetCPU (not (dig "requests" "cpu" "" $v.resources)) }}
{{- $said = append $said "autoscaling.targetCPU: a share of resources.requests.cpu, which is missing; allowed: both, or metrics" }}
{{- end }}
{{- end }}

{{- if and $v.serviceMonitor.enabled $v.podMonitor.enabled }}
{{- $said = append $said "serviceMonitor, podMonitor: both would scrape every pod twice; allowed: one of the two" }}
{{- end }}
{{- if and (or $v.serviceMonitor.enabled $v.podMonitor.enabled) $v.networkPolicy.enabled (not $v.networkPolicy.monitoring) }}
{{- $said = append $said "networkPolicy.monitoring: nobody may reach the admin port, and a monitor is to be made; allowed: peers such as {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}" }}
{{- end }}
{{- if $v.networkPolicy.upstream.enabled }}
{{- if $sidecar }}
{{- $said = append $said "networkPolicy.upstream: in mode sidecar vLLM is in the pod and on loopback; allowed: in mode gateway" }}
{{- else if not $v.networkPolicy.upstream.matchLabels }}
{{- $said = append $said "networkPolicy.upstream.matchLabels: it would close every pod of the namespace; allowed: the labels of the inference server's pods" }}
{{- end }}
{{- end }}
{{- if and $v.networkPolicy.enabled $v.networkPolicy.egress.enabled }}
{{- if and (not $sidecar) (not $v.networkPolicy.egress.upstream.to) }}
{{- $said = append $said "networkPolicy.egress.upstream.to: Guard could not reach the inference server; allowed: peers" }}
{{- end }}
{{- if and (include "guard.redis" .) (not $v.networkPolicy.egress.redis.to) }}
{{- $said = append $said "networkPolicy.egress.redis.to: Guard could not reach the ledger; allowed: peers" }}
{{- end }}
{{- end }}
{{- if and $v.ingress.enabled (not $v.ingress.hosts) }}
{{- $said = append $said "ingress.hosts: none; allowed: host names" }}
{{- end }}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) }}
{{- $said = append $said "httpRoute.parentRefs: none; allowed: the gateways" }}
{{- end }}

{{- $alerts := list }}
{{- range $_, $content := .Files.Glob "files/rules/*.yml" }}
{{- range (toString $content | fromYaml).groups }}
{{- range .rules }}{{ with .alert }}{{ $alerts = append $alerts . }}{{ end }}{{ end }}
{{- end }}
{{- end }}
{{- range concat $v.prometheusRule.disabled (keys $v.prometheusRule.severity | sortAlpha) }}
{{- if not (has . $alerts) }}
{{- $said = append $said (printf "prometheusRule: no alert is named %s; allowed: %s" . (sortAlpha $alerts | join ", ")) }}
{{- end }}
{{- end }}

{{- if $said }}
{{- fail (printf "\n  %s\n" (join "\n  " $said)) }}
{{- end }}
{{- end }}
