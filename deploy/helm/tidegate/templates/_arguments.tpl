{{/* The flags that the chart sets, with the value that sets each. */}}
{{- define "tidegate.ownFlags" -}}
http-bind: controller.bindAddress and controller.containerPort.http
https-bind: controller.bindAddress and controller.containerPort.https
dns-bind: controller.bindAddress and controller.containerPort.dns
admin-bind: controller.bindAddress and controller.metrics.port
advertised-https-port: controller.service.ports.https
ingress-class: controller.ingressClassResource
controller-class: controller.ingressClassResource.controllerValue
watch-ingress-without-class: controller.watchIngressWithoutClass
watch-namespace: controller.scope
watch-selector: controller.watchSelector
election-id: controller.electionID
election-namespace: the namespace of the release
update-status: controller.updateStatus
publish-service: controller.publishService
publish-address: controller.publishAddresses
publish-node-addresses: controller.publishNodeAddresses
default-backend: controller.defaultBackendService
default-tls-secret: controller.defaultTLSSecret
dns-clusterset-domain: dns.clustersetDomain
dns-rate-limit: dns.rateLimit
drain-delay: controller.drain.delaySeconds
drain-timeout: controller.drain.timeoutSeconds
log-format: controller.logFormat
log-level: controller.logLevel
access-log: controller.accessLog
manifests: nothing, since the cluster is the source
kubeconfig: nothing, since the Pod's account is used
context: nothing, since the Pod's account is used
{{- end -}}

{{- define "tidegate.arguments" -}}
{{- $controller := .Values.controller -}}
{{- $ports := include "tidegate.ports" . | fromJson -}}
{{- $address := $controller.bindAddress -}}
{{- $loopback := "127.0.0.1" -}}
{{- $class := $controller.ingressClassResource -}}
- run
- --http-bind={{ $address }}:{{ $ports.http }}
- --https-bind={{ $address }}:{{ $ports.https }}
- --dns-bind={{ ternary $loopback $address $controller.hostNetwork }}:{{ $ports.dns }}
- --admin-bind={{ ternary $loopback $address (eq (include "tidegate.adminIsLocal" .) "true") }}:{{ $ports.admin }}
- --advertised-https-port={{ include "tidegate.advertisedPort" . }}
{{- if ne $class.controllerValue "tidegate.dev/ingress" }}
- {{ printf "--controller-class=%s" $class.controllerValue | quote }}
{{- end }}
- --ingress-class={{ prepend $class.aliases $class.name | uniq | join "," }}
- --election-id={{ default (printf "%s-leader" (include "tidegate.fullname" .)) $controller.electionID }}
- --drain-delay={{ $controller.drain.delaySeconds }}s
- --drain-timeout={{ $controller.drain.timeoutSeconds }}s
- --log-format={{ $controller.logFormat }}
{{- with include "tidegate.publishService" . }}
- {{ printf "--publish-service=%s" . | quote }}
{{- end }}
{{- if $controller.updateStatus }}
{{- range $controller.publishAddresses }}
- {{ printf "--publish-address=%s" . | quote }}
{{- end }}
{{- if $controller.publishNodeAddresses }}
- --publish-node-addresses
{{- end }}
{{- else }}
- --update-status=false
{{- end }}
{{- if $controller.watchIngressWithoutClass }}
- --watch-ingress-without-class=true
{{- end }}
{{- with $controller.watchSelector }}
- {{ printf "--watch-selector=%s" . | quote }}
{{- end }}
{{- range include "tidegate.watched" . | fromJsonArray }}
- --watch-namespace={{ . }}
{{- end }}
{{- with $controller.defaultBackendService }}
- {{ printf "--default-backend=%s" . | quote }}
{{- end }}
{{- with $controller.defaultTLSSecret }}
- {{ printf "--default-tls-secret=%s" . | quote }}
{{- end }}
{{- if ne $controller.logLevel "info" }}
- {{ printf "--log-level=%s" $controller.logLevel | quote }}
{{- end }}
{{- if ne $controller.accessLog "json" }}
- --access-log={{ $controller.accessLog }}
{{- end }}
{{- with .Values.dns.clustersetDomain }}
- {{ printf "--dns-clusterset-domain=%s" . | quote }}
{{- end }}
{{- with include "tidegate.rateLimit" . }}
- --dns-rate-limit={{ . }}
{{- end }}
{{- include "tidegate.extraArguments" . }}
{{- end -}}

{{/* Answers a second to one network; empty: no limit. What NSD has without being told, where others than the cluster reach it. */}}
{{- define "tidegate.rateLimit" -}}
{{- $dns := .Values.dns -}}
{{- if not (kindIs "invalid" $dns.rateLimit) -}}
{{- with int $dns.rateLimit }}{{ . }}{{ end -}}
{{- else if and $dns.service.enabled (ne $dns.service.type "ClusterIP") -}}
200
{{- end -}}
{{- end -}}

{{/* The port that clients have to be sent to for HTTPS. */}}
{{- define "tidegate.advertisedPort" -}}
{{- $controller := .Values.controller -}}
{{- if $controller.hostNetwork -}}
{{- (include "tidegate.ports" . | fromJson).https -}}
{{- else if $controller.hostPort.enabled -}}
{{- $controller.hostPort.ports.https -}}
{{- else -}}
{{- $controller.service.ports.https -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.extraArguments" -}}
{{- $own := include "tidegate.ownFlags" . | fromYaml -}}
{{- $renamed := dict "default-ssl-certificate" "controller.defaultTLSSecret" "default-backend-service" "controller.defaultBackendService" "publish-status-address" "controller.publishAddresses" -}}
{{- range $name, $value := .Values.controller.extraArgs }}
{{- with get $own $name }}{{ fail (printf "controller.extraArgs.%s: the chart sets this flag: use %s" $name .) }}{{ end }}
{{- with get $renamed $name }}{{ fail (printf "controller.extraArgs.%s is a flag of ingress-nginx: use %s" $name .) }}{{ end }}
{{- end }}
{{- include "tidegate.flags" .Values.controller.extraArgs }}
{{- end -}}

{{/* A map of flags without their dashes as arguments. */}}
{{- define "tidegate.flags" -}}
{{- range $name, $value := . }}
{{- range $one := kindIs "slice" $value | ternary $value (list $value) }}
{{- if or (kindIs "invalid" $one) (eq (toString $one) "") }}
- --{{ $name }}
{{- else }}
- {{ printf "--%s=%s" $name (kindIs "float64" $one | ternary (toJson $one) (toString $one)) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
