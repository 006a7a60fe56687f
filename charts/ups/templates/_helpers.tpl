{{/* Name of all that belongs to the operator. */}}
{{- define "ups.operator" -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}-operator
{{- end }}

{{/* Labels that select: they never change between versions. Takes (root, component). */}}
{{- define "ups.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: ups
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels. Takes (root, component). */}}
{{- define "ups.labels" -}}
{{- $root := index . 0 -}}
{{ include "ups.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{/* Reference of an image. Takes (root, image). */}}
{{- define "ups.image" -}}
{{- $images := (index . 0).Values.images -}}
{{- $image := index . 1 -}}
{{- with $images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}
{{- else }}:{{ $image.tag | default $images.tag | default (index . 0).Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What the Restricted pod security standard asks of a pod; the user comes from the image. */}}
{{- define "ups.podSecurity" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What it asks of a container, and a root file system that cannot be written. */}}
{{- define "ups.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* A pod of the operator's image that runs one command and ends. Takes (root, serviceAccount, arguments). */}}
{{- define "ups.oneShot" -}}
{{- $root := index . 0 -}}
restartPolicy: Never
serviceAccountName: {{ index . 1 }}
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext: {{- include "ups.podSecurity" $root | nindent 2 }}
{{- include "ups.placement" $root }}
containers:
  - name: ups-operator
    image: {{ include "ups.image" (list $root $root.Values.images.operator) }}
    imagePullPolicy: {{ $root.Values.images.pullPolicy }}
    args: {{ index . 2 | toJson }}
    {{- with $root.Values.operator.env }}
    env: {{- toYaml . | nindent 6 }}
    {{- end }}
    securityContext: {{- include "ups.containerSecurity" $root | nindent 6 }}
    resources: {{- toYaml $root.Values.operator.resources | nindent 6 }}
    volumeMounts: [{name: tmp, mountPath: /tmp}]
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 64Mi}
{{- end }}

{{/* What Helm runs beside the release and removes once it succeeded; where it failed Helm prints its log. Takes (events, weight). */}}
{{- define "ups.hook" -}}
helm.sh/hook: {{ index . 0 }}
helm.sh/hook-weight: {{ index . 1 | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
helm.sh/hook-output-log-policy: hook-failed
{{- end }}

{{/* On which nodes pods of the operator's image may run. */}}
{{- define "ups.placement" -}}
{{- with .Values.operator.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.operator.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* What the operator may do with what lies in a namespace. */}}
{{- define "ups.operatorRules" -}}
- apiGroups: [ups.dev]
  resources: [trainingruns]
  verbs: [get, list, watch]
- apiGroups: [ups.dev]
  resources: [datasets]
  verbs: [get, list, watch, create, patch] # create: those that runs bring along; patch: their finalizer
- apiGroups: [ups.dev]
  resources: [trainingruns/status, datasets/status]
  verbs: [patch]
- apiGroups: [argoproj.io]
  resources: [workflows]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}
