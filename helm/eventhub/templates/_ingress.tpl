{{/* Annotations that streams need, by controller: no buffering in either direction, no limit on a body
     that never ends, and timeouts well above the heartbeat of 25 seconds. No second node either:
     ingress-nginx treats a PUT as idempotent and would send it to the next node if the first one fails
     or is slow. It may be stored already, so the producer repeats it with its key. */}}
{{- define "eventhub.ingressAnnotations" -}}
{{- $scheme := include "eventhub.scheme" . -}}
{{- if eq .Values.ingress.controller "nginx" -}}
nginx.ingress.kubernetes.io/backend-protocol: {{ upper $scheme }}
nginx.ingress.kubernetes.io/proxy-body-size: "0"
nginx.ingress.kubernetes.io/proxy-buffering: "off"
nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
nginx.ingress.kubernetes.io/proxy-next-upstream: "off"
nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
{{- else if eq .Values.ingress.controller "haproxy" -}}
haproxy.org/server-ssl: {{ eq $scheme "https" | quote }}
haproxy.org/timeout-server: 1h
{{- else if eq .Values.ingress.controller "alb" -}}
alb.ingress.kubernetes.io/backend-protocol: {{ upper $scheme }}
alb.ingress.kubernetes.io/healthcheck-path: /readyz
alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds=3600
alb.ingress.kubernetes.io/target-type: ip
{{- end -}}
{{- end -}}
