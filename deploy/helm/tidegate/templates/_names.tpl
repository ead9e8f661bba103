{{- define "tidegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidegate.fullname" -}}
{{- $name := include "tidegate.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What Pods are found by. */}}
{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ include "tidegate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tidegate.account" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tidegate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The subject of every binding. */}}
{{- define "tidegate.subjects" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "tidegate.account" . | quote }}
  namespace: {{ .Release.Namespace | quote }}
{{- end -}}

{{- define "tidegate.image" -}}
{{- $image := .Values.controller.image -}}
{{- $registry := default $image.registry .Values.global.imageRegistry -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.image -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{/* The watched namespaces as a JSON list; empty: all. */}}
{{- define "tidegate.watched" -}}
{{- $scope := .Values.controller.scope -}}
{{- $watched := list -}}
{{- if $scope.enabled -}}
{{- with $scope.namespace }}{{ $watched = append $watched . }}{{ end -}}
{{- $watched = concat $watched $scope.namespaces -}}
{{- if not $watched }}{{ $watched = list .Release.Namespace }}{{ end -}}
{{- end -}}
{{- $watched | uniq | toJson -}}
{{- end -}}

{{/* The namespaces whose Secrets may be read, as a JSON list. */}}
{{- define "tidegate.secretNamespaces" -}}
{{- $watched := include "tidegate.watched" . | fromJsonArray -}}
{{- .Values.secretNamespaces | default $watched | default (list .Release.Namespace) | uniq | toJson -}}
{{- end -}}

{{/* The Service whose addresses are published, as NAMESPACE/NAME; empty: none. */}}
{{- define "tidegate.publishService" -}}
{{- $controller := .Values.controller -}}
{{- $others := or $controller.publishAddresses $controller.publishNodeAddresses -}}
{{- if and $controller.updateStatus (not $others) -}}
{{- if $controller.publishService.pathOverride -}}
{{- $controller.publishService.pathOverride -}}
{{- else if and $controller.publishService.enabled $controller.service.enabled (eq $controller.service.type "LoadBalancer") -}}
$(POD_NAMESPACE)/{{ include "tidegate.fullname" . }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The namespaces of Services that flags name and that are not watched, as a JSON list. */}}
{{- define "tidegate.lookedAt" -}}
{{- $watched := include "tidegate.watched" . | fromJsonArray -}}
{{- $found := list -}}
{{- if $watched -}}
{{- $published := include "tidegate.publishService" . | replace "$(POD_NAMESPACE)" .Release.Namespace -}}
{{- range list $published .Values.controller.defaultBackendService -}}
{{- $namespace := (splitn "/" 2 .)._0 -}}
{{- if and $namespace (not (has $namespace $watched)) }}{{ $found = append $found $namespace }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end -}}

{{/* Ports in the Pod, as a JSON object. */}}
{{- define "tidegate.ports" -}}
{{- $ports := .Values.controller.containerPort -}}
{{- $host := .Values.controller.hostNetwork -}}
{{- dict
  "http" (int (default (ternary 80 8080 $host) $ports.http))
  "https" (int (default (ternary 443 8443 $host) $ports.https))
  "dns" (int (default (ternary 9953 5353 $host) $ports.dns))
  "admin" (int .Values.controller.metrics.port)
  | toJson -}}
{{- end -}}

{{/* Whether the admin endpoint is on loopback, where the kubelet of a Pod with hostNetwork reaches it too. */}}
{{- define "tidegate.adminIsLocal" -}}
{{- if and .Values.controller.hostNetwork (not .Values.controller.metrics.enabled) }}true{{ end -}}
{{- end -}}

{{/* Whether the ingress controller is installed, as it is where nothing is said: with --reuse-values the values of older charts are all that there is. */}}
{{- define "tidegate.hasController" -}}
{{- if ne (toString .Values.controller.enabled) "false" }}true{{ end -}}
{{- end -}}
