{{/* The content of eventhub.yaml. The chart sets the address to listen on, and the certificate. */}}
{{- define "eventhub.config" -}}
{{- $config := merge (dict "host" "0.0.0.0" "port" 8000) .Values.config -}}
{{- with .Values.tls.secret -}}
{{- $directory := printf "/run/secrets/eventhub/%s" . -}}
{{- $_ := set $config "tls" (dict "certificate" (printf "%s/tls.crt" $directory) "key" (printf "%s/tls.key" $directory)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* memory, sqlite or shared */}}
{{- define "eventhub.broker" -}}
{{- $url := default "memory://" .Values.config.broker -}}
{{- if .Values.brokerSecret.name -}}shared
{{- else if hasPrefix "memory:" $url -}}memory
{{- else if hasPrefix "sqlite:" $url -}}sqlite
{{- else -}}shared
{{- end -}}
{{- end -}}

{{/* whether the type of the test's channel is declared; without config.channels, the sample has chat */}}
{{- define "eventhub.testable" -}}
{{- $type := .Values.test.channel | splitList "." | first -}}
{{- if or (not .Values.config.channels) (hasKey (default dict .Values.config.channels) $type) -}}yes{{- end -}}
{{- end -}}

{{/* the Secret with the test's API key, and its key, as JSON */}}
{{- define "eventhub.testKey" -}}
{{- $made := include "eventhub.madeKeys" . -}}
{{- if .Values.test.key.name -}}
{{ toJson .Values.test.key }}
{{- else if and $made (include "eventhub.testable" .) -}}
{{ dict "name" $made "key" "operator" | toJson }}
{{- end -}}
{{- end -}}

{{- define "eventhub.scheme" -}}
{{- .Values.tls.secret | empty | ternary "http" "https" -}}
{{- end -}}

{{/* Seconds from the order to end to the kill: until proxies know, goodbyes, buffers, plus ten. */}}
{{- define "eventhub.gracePeriod" -}}
{{- $shutdown := default dict .Values.config.shutdown -}}
{{- $spread := hasKey $shutdown "spread" | ternary $shutdown.spread 10 -}}
{{- $grace := hasKey $shutdown "grace" | ternary $shutdown.grace 5 -}}
{{- addf .Values.preStopSeconds $spread $grace 10 | ceil | int -}}
{{- end -}}

{{/* names of Secrets that become files, as JSON. Volumes are named by a hash of the name, because a
     Secret's name may be too long for a volume and may have dots. */}}
{{- define "eventhub.mountedSecrets" -}}
{{- concat .Values.secretFiles (list .Values.tls.secret) | compact | uniq | toJson -}}
{{- end -}}
