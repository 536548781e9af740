{{/* What streams need of a controller, by its name: nothing buffered in either direction, no bound on a body that never ends, and patience
     well above the heartbeat of 25 seconds. And no second node: ingress-nginx would give a PUT, which it takes for idempotent, to the next one
     when the first dies of it or is slow; whether it was stored is for the producer to find out, with its key. */}}
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
