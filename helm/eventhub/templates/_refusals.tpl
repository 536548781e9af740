{{/* Refuses values that could be installed but would not work, or would not be safe. Each message says
     what was received and what was expected. */}}
{{- define "eventhub.refusals" -}}
{{- include "eventhub.refuseStrangers" . -}}
{{- include "eventhub.refuseBroker" . -}}
{{- include "eventhub.refuseSecrets" . -}}
{{- include "eventhub.refuseProxies" . -}}
{{- include "eventhub.refuseMonitoring" . -}}
{{- include "eventhub.refuseNetwork" . -}}
{{- include "eventhub.refuseTest" . -}}
{{- include "eventhub.refusePayloads" . -}}
{{- include "eventhub.refuseRoom" . -}}
{{- end -}}

{{- define "eventhub.configured" -}}
{{- $auth := default dict .Values.config.auth -}}
{{- $tokens := default dict $auth.tokens -}}
{{- if or $auth.keys $tokens.keys $tokens.jwks -}}yes{{- end -}}
{{- end -}}

{{/* the Secret with the keys that this release makes; empty: none are made */}}
{{- define "eventhub.madeKeys" -}}
{{- if and .Values.keysSecret.create (not (or .Values.keysSecret.name (include "eventhub.configured" .) .Values.config.insecure)) -}}
{{ include "eventhub.fullname" . }}-keys
{{- end -}}
{{- end -}}

{{/* whether access is restricted: by config.auth, or by keys in a Secret */}}
{{- define "eventhub.closed" -}}
{{- if or (include "eventhub.configured" .) .Values.keysSecret.name (include "eventhub.madeKeys" .) -}}yes{{- end -}}
{{- end -}}

{{- define "eventhub.refuseStrangers" -}}
{{- if and .Values.keysSecret.name (default dict .Values.config.auth).keys -}}
{{- fail "there are config.auth.keys and keysSecret.name; expected one of them" -}}
{{- end -}}
{{- if not (or (include "eventhub.closed" .) .Values.config.insecure) -}}
{{- fail (printf "\n\nconfig says nobody may publish or listen; expected config.auth, keysSecret.name, or keysSecret.create: true. A first key:\n\n  docker run --rm %s key new first --publish '>' --subscribe '>' --operator\n\nprints it, and what goes below config.auth.keys in your values. config.insecure: true lets everybody do everything, on networks that you trust.\n" (include "eventhub.image" .)) -}}
{{- end -}}
{{- end -}}

{{- define "eventhub.refuseBroker" -}}
{{- $broker := include "eventhub.broker" . -}}
{{- $url := default "memory://" .Values.config.broker -}}
{{- if and .Values.brokerSecret.name .Values.config.broker -}}
{{- fail "there are config.broker and brokerSecret; expected one of them" -}}
{{- end -}}
{{- if and (eq $broker "shared") (regexMatch "@|[?&][^=]*(password|token|secret)=" $url) -}}
{{- fail "config.broker holds a user or a password; expected a Secret with the address, named by brokerSecret" -}}
{{- end -}}
{{- if ne $broker "shared" -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- fail (printf "replicas is %d on the %s broker, which nodes cannot share; expected 1, or redis or nats" (int .Values.replicas) $broker) -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail (printf "autoscaling is enabled on the %s broker, which nodes cannot share; expected redis or nats" $broker) -}}
{{- end -}}
{{- if gt (int (default 1 .Values.config.workers)) 1 -}}
{{- fail (printf "config.workers is %d on the %s broker, which processes cannot share; expected 1, or redis or nats" (int .Values.config.workers) $broker) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $broker "sqlite") (or (not (hasPrefix "sqlite:////var/lib/eventhub/" $url)) (contains ".." $url)) -}}
{{- fail (printf "config.broker is %s, which is not on the volume; expected sqlite:////var/lib/eventhub/events.db" $url) -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (lt (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) -}}
{{- fail (printf "autoscaling.maxReplicas is %d; expected at least minReplicas, %d" (int .Values.autoscaling.maxReplicas) (int .Values.autoscaling.minReplicas)) -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (not (or .Values.autoscaling.connections .Values.autoscaling.cpu)) -}}
{{- fail "autoscaling has neither connections nor cpu; expected one of them" -}}
{{- end -}}
{{- end -}}

{{- define "eventhub.refuseSecrets" -}}
{{- range .Values.env -}}
{{- if and .value (or (regexMatch "(HEADERS|TOKEN|PASSWORD|SECRET)$" .name) (regexMatch "://[^/]*@" .value)) -}}
{{- fail (printf "env has the value of %s, where everybody reads it; expected secret: {name, key}, the Secret that holds it" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "eventhub.refuseProxies" -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty; expected the names that clients use" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty; expected the gateway" -}}
{{- end -}}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not .Values.config.proxies) -}}
{{- fail "config.proxies is empty behind a proxy, so all clients would count as one and be refused beyond limits.connections_per_address; expected the network of the proxy's pods, such as [10.0.0.0/8]" -}}
{{- end -}}
{{- $limits := default dict .Values.config.limits -}}
{{- if and (ne .Values.service.type "ClusterIP") (eq .Values.service.externalTrafficPolicy "Cluster") (not .Values.config.proxies) (not $limits.connections_per_address) -}}
{{- fail "service.externalTrafficPolicy is Cluster, so clients would come from addresses of machines and be refused beyond limits.connections_per_address; expected Local, config.proxies where a proxy is before the Service, or config.limits.connections_per_address" -}}
{{- end -}}
{{- end -}}

{{- define "eventhub.refuseMonitoring" -}}
{{- $auth := default dict .Values.config.auth -}}
{{- if and $auth.public_metrics (or .Values.ingress.enabled .Values.httpRoute.enabled (ne .Values.service.type "ClusterIP")) -}}
{{- fail "config.auth.public_metrics is true, and everybody who reaches the service from outside could read /metrics; expected it in a cluster alone, or serviceMonitor.key.name, a Secret with an operator's key" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled (include "eventhub.closed" .) (not $auth.public_metrics) (not .Values.serviceMonitor.key.name) -}}
{{- fail "Prometheus could not read /metrics; expected serviceMonitor.key.name, a Secret with an operator's key, or config.auth.public_metrics: true" -}}
{{- end -}}
{{- if and .Values.serviceMonitor.enabled .Values.tls.secret (not .Values.serviceMonitor.tls.serverName) -}}
{{- fail "Prometheus connects to a pod's address, and could not tell whose certificate it sees; expected serviceMonitor.tls.serverName, a name that the one of tls.secret is for" -}}
{{- end -}}
{{- end -}}

{{- define "eventhub.refuseNetwork" -}}
{{- $auth := default dict .Values.config.auth -}}
{{- $tokens := default dict $auth.tokens -}}
{{- $tracing := default dict (get .Values.config "tracing") -}}
{{- $reaches := list -}}
{{- if eq (include "eventhub.broker" .) "shared" -}}{{- $reaches = append $reaches "the broker" -}}{{- end -}}
{{- if $tokens.jwks -}}{{- $reaches = append $reaches "config.auth.tokens.jwks" -}}{{- end -}}
{{- if $tracing.endpoint -}}{{- $reaches = append $reaches "config.tracing.endpoint" -}}{{- end -}}
{{- if and .Values.networkPolicy.enabled $reaches (not .Values.networkPolicy.to) -}}
{{- fail (printf "networkPolicy.to is empty, so pods could not reach %s; expected rules such as [{ports: [{port: 6379}]}]" (join ", " $reaches)) -}}
{{- end -}}
{{- end -}}

{{- define "eventhub.refuseTest" -}}
{{- $type := .Values.test.channel | splitList "." | first -}}
{{- if and .Values.test.key.name .Values.config.channels (not (hasKey .Values.config.channels $type)) -}}
{{- fail (printf "test.channel is %s, and config.channels has no %s; expected a channel of %s" .Values.test.channel $type (keys .Values.config.channels | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}

{{/* a payload file must be in schemas or in a Secret; a model (with a colon) is in an image of your own */}}
{{- define "eventhub.refusePayloads" -}}
{{- $builtIn := list "alertmanager" "chat" "json" "log" "reading" "senml" -}}
{{- range $type, $channel := default dict .Values.config.channels -}}
{{- $payload := default "json" (default dict $channel).payload -}}
{{- if hasSuffix ".json" $payload -}}
{{- if not (or (hasKey $.Values.schemas $payload) (hasPrefix "/run/secrets/eventhub/" $payload)) -}}
{{- fail (printf "config.channels.%s.payload is %s, and schemas has no such file; expected its text there" $type $payload) -}}
{{- end -}}
{{- else if not (or (has $payload $builtIn) (contains ":" $payload)) -}}
{{- fail (printf "config.channels.%s.payload is %s; expected one of %s, a file of schemas, or package.module:Model" $type $payload (join ", " $builtIn)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* 128 MiB: a node without load (75 MiB, docs/kubernetes.md), and room for its clients */}}
{{- define "eventhub.refuseRoom" -}}
{{- $history := 0 -}}
{{- if eq (include "eventhub.broker" .) "memory" -}}
{{- $history = default 268435456 (default dict .Values.config.limits).history_bytes -}}
{{- end -}}
{{- with (default dict .Values.resources.limits).memory -}}
{{- $units := dict "m" 0.001 "" 1 "k" 1e3 "Ki" 1024 "M" 1e6 "Mi" 1048576 "G" 1e9 "Gi" 1073741824 "T" 1e12 "Ti" 1099511627776 -}}
{{- $text := kindIs "string" . | ternary . (printf "%d" (int64 .)) -}}
{{- $bytes := mulf (float64 (regexFind "^[0-9.]+" $text)) (get $units (regexFind "[A-Za-z]*$" $text)) -}}
{{- $least := divf (addf 134217728 $history) 1048576 | ceil | int64 -}}
{{- if lt (divf $bytes 1048576) (float64 $least) -}}
{{- fail (printf "resources.limits.memory is %s; expected at least %dMi: 128Mi, and what config.limits.history_bytes keeps on the memory broker" $text $least) -}}
{{- end -}}
{{- end -}}
{{- end -}}
