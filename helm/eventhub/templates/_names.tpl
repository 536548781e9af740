{{- define "eventhub.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* at most 52 characters, so that a suffix (-dashboards) still fits into a name */}}
{{- define "eventhub.fullname" -}}
{{- $name := include "eventhub.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "eventhub.serviceAccount" -}}
{{- default (.Values.serviceAccount.create | ternary (include "eventhub.fullname" .) "default") .Values.serviceAccount.name -}}
{{- end -}}

{{- define "eventhub.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{ .Values.image.repository }}{{ .Values.image.digest | empty | ternary (printf ":%s" $tag) (printf "@%s" .Values.image.digest) }}
{{- end -}}

{{/* must never change, because a Deployment's selector cannot change */}}
{{- define "eventhub.instance" -}}
app.kubernetes.io/name: {{ include "eventhub.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* selects the pods that serve, not the pod of the test */}}
{{- define "eventhub.selector" -}}
{{ include "eventhub.instance" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "eventhub.labels" -}}
{{ include "eventhub.instance" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{/* the metadata after a name; labels come last, so that an object can add more */}}
{{- define "eventhub.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "eventhub.labels" . | nindent 2 }}
{{- end -}}
