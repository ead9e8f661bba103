{{/* The template of the Pods, of either kind of workload. */}}
{{- define "tidegate.pod" -}}
{{- $controller := .Values.controller -}}
metadata:
  labels:
    {{- include "tidegate.labels" . | nindent 4 }}
    {{- with $controller.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $controller.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "tidegate.account" . | quote }}
  automountServiceAccountToken: true
  # Variables such as TIDEGATE_DNS_PORT, made of Services here, could be taken for flags.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $controller.terminationGracePeriodSeconds | default (add (int $controller.drain.delaySeconds) (int $controller.drain.timeoutSeconds) 15) | int }}
  {{- if $controller.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with default (ternary "ClusterFirstWithHostNet" "" $controller.hostNetwork) $controller.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.global.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $controller.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  securityContext: {{- toYaml $controller.podSecurityContext | nindent 4 }}
  {{- with include "tidegate.placement" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
  - {{- include "tidegate.container" . | nindent 4 }}
{{- end -}}

{{- define "tidegate.placement" -}}
{{- $controller := .Values.controller -}}
{{- with $controller.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $controller.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with $controller.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- $selector := dict "matchLabels" (include "tidegate.selector" . | fromYaml) -}}
{{- $spread := $controller.topologySpreadConstraints -}}
{{- if and (kindIs "invalid" $spread) (eq $controller.kind "Deployment") }}
{{- $spread = list -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
{{- $spread = append $spread (dict "topologyKey" . "maxSkew" 1 "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash")) -}}
{{- end }}
{{- end }}
{{- with $spread }}
topologySpreadConstraints:
{{- range . }}
- {{- toYaml (merge (deepCopy .) (dict "labelSelector" $selector)) | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "tidegate.container" -}}
{{- $controller := .Values.controller -}}
{{- $ports := include "tidegate.ports" . | fromJson -}}
name: tidegate
image: {{ include "tidegate.image" . | quote }}
imagePullPolicy: {{ $controller.image.pullPolicy }}
args: {{- include "tidegate.arguments" . | nindent 0 }}
env:
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- with $controller.extraEnvs }}
{{ toYaml . }}
{{- end }}
ports:
{{- range $name := list "http" "https" }}
- name: {{ $name }}
  containerPort: {{ get $ports $name }}
  protocol: TCP
  {{- if $controller.hostPort.enabled }}
  hostPort: {{ get $controller.hostPort.ports $name }}
  {{- end }}
{{- end }}
{{- if not $controller.hostNetwork }}
- {name: dns, containerPort: {{ $ports.dns }}, protocol: UDP}
- {name: dns-tcp, containerPort: {{ $ports.dns }}, protocol: TCP}
{{- end }}
- {name: admin, containerPort: {{ $ports.admin }}, protocol: TCP}
# /livez answers from the first moment on, also while there is no API server: no startup probe is needed, and one on
# /readyz would restart a program that only waits.
livenessProbe:
  httpGet:
    path: /livez
    port: admin
    {{- if include "tidegate.adminIsLocal" . }}
    host: 127.0.0.1
    {{- end }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: admin
    {{- if include "tidegate.adminIsLocal" . }}
    host: 127.0.0.1
    {{- end }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
{{- with $controller.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    {{- if or (lt (int $ports.http) 1024) (lt (int $ports.https) 1024) (lt (int $ports.dns) 1024) (lt (int $ports.admin) 1024) }}
    add: [NET_BIND_SERVICE]
    {{- end }}
{{- end -}}
