{{- define "eventhub.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 52 characters: what is appended to it (-dashboards) still makes a name */}}
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

{{/* never changes: a Deployment's selector cannot */}}
{{- define "eventhub.instance" -}}
app.kubernetes.io/name: {{ include "eventhub.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* the pods that serve, and not that of the test */}}
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

{{/* what stands below a name; labels are last, so that an object can have more */}}
{{- define "eventhub.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "eventhub.labels" . | nindent 2 }}
{{- end -}}
