{{/* The restricted pod security standard, https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted */}}
{{- define "eventhub.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "eventhub.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Settings of all pods. Service links would set EVENTHUB_PORT if the release is named eventhub. */}}
{{- define "eventhub.podBasics" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "eventhub.podSecurity" . | nindent 2 }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* With autoscaling: the present number of pods, at least minReplicas. Without a number Kubernetes uses
     one, and an upgrade that turns autoscaling on would end all pods but one. No number is set if the
     present one is unknown: at the first installation, and in `helm template`, whose output is applied
     again and again while the autoscaler sets the number. */}}
{{- define "eventhub.replicas" -}}
{{- if not .Values.autoscaling.enabled -}}
{{ .Values.replicas }}
{{- else -}}
{{- with lookup "apps/v1" "Deployment" .Release.Namespace (include "eventhub.fullname" .) -}}
{{ max $.Values.autoscaling.minReplicas .spec.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Counted by version: otherwise the pods that end during a roll-out would count, too. */}}
{{- define "eventhub.spread" -}}
{{- $selector := include "eventhub.selector" . -}}
{{- range $key, $when := dict "kubernetes.io/hostname" .Values.topologySpread.host "topology.kubernetes.io/zone" .Values.topologySpread.zone }}
{{- if $when }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ $when }}
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}
