{{/* What the Pods of `tidegate dns` on the nodes are found by. */}}
{{- define "tidegate.nodeDns.selector" -}}
app.kubernetes.io/name: {{ printf "%s-node-dns" (include "tidegate.name" .) | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "tidegate.nodeDns.labels" -}}
{{ include "tidegate.nodeDns.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/*
Pods are replaced when this changes. The ConfigMap's name is always the same: helm deletes at once what a release no longer
has, and a container that starts again in a Pod whose turn has not come would find none of another name.
*/}}
{{- define "tidegate.nodeDns.checksum" -}}
{{- printf "%s%s" (join "," .Values.dns.nodeLocal.serviceAddresses) (.Files.Get "files/node-dns-rules.sh") | sha256sum -}}
{{- end -}}

{{/* The flags that the chart sets, with the value that sets each. */}}
{{- define "tidegate.nodeDns.ownFlags" -}}
dns-bind: dns.nodeLocal.address and dns.nodeLocal.serviceAddresses
health-bind: dns.nodeLocal.address
ready-bind: dns.nodeLocal.address
metrics-bind: dns.nodeLocal.address
dns-ttl: nothing, it is 30 s
lameduck: nothing, it is as long as questions may still come
dns-clusterset-domain: dns.clustersetDomain
log-format: controller.logFormat
corefile: nothing, since no Corefile is mounted
manifests: nothing, since the cluster is the source
kubeconfig: nothing, since the Pod's account is used
context: nothing, since the Pod's account is used
{{- end -}}

{{- define "tidegate.nodeDns.arguments" -}}
{{- $node := .Values.dns.nodeLocal -}}
- dns
- --dns-bind={{ $node.address }}:53
- --health-bind={{ $node.address }}:8080
- --ready-bind={{ $node.address }}:8080
- --metrics-bind={{ $node.address }}:9253
- --dns-ttl=30
{{- /* Where questions to the Service come here, answers go on until the rules have led them elsewhere. */}}
- --lameduck={{ ternary "5s" "0s" (not (empty $node.serviceAddresses)) }}
- --log-format={{ .Values.controller.logFormat }}
{{- if $node.serviceAddresses }}
- --dns-bind=$(SERVICE)
{{- end }}
{{- with .Values.dns.clustersetDomain }}
- {{ printf "--dns-clusterset-domain=%s" . | quote }}
{{- end }}
{{- $own := include "tidegate.nodeDns.ownFlags" . | fromYaml -}}
{{- range $name, $value := $node.extraArgs }}
{{- with get $own $name }}{{ fail (printf "dns.nodeLocal.extraArgs.%s: the chart sets this flag: use %s" $name .) }}{{ end }}
{{- end }}
{{- include "tidegate.flags" $node.extraArgs }}
{{- end -}}

{{/* The environment of all that has to do with the Service's addresses. */}}
{{- define "tidegate.nodeDns.service" -}}
- {name: SERVICE, valueFrom: {configMapKeyRef: {name: {{ include "tidegate.fullname" . }}-node-dns, key: service}}}
{{- end -}}

{{- define "tidegate.nodeDns.rules" -}}
image: {{ include "tidegate.nodeDns.image" (list . .Values.dns.nodeLocal.rulesImage) }}
env:
{{ include "tidegate.nodeDns.service" . }}
- {name: LOCAL, value: {{ .Values.dns.nodeLocal.address }}}
volumeMounts: [{name: rules, mountPath: /etc/tidegate, readOnly: true}]
securityContext: {{- include "tidegate.nodeDns.changesNetwork" . | nindent 2 }}
{{- end -}}

{{- define "tidegate.nodeDns.changesNetwork" -}}
runAsUser: 0
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL], add: [NET_ADMIN]}
{{- end -}}

{{- define "tidegate.nodeDns.image" -}}
{{- $registry := (index . 0).Values.global.imageRegistry -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ index . 1 }}
{{- end -}}

{{/* The template of the Pods on the nodes. */}}
{{- define "tidegate.nodeDns.pod" -}}
{{- $node := .Values.dns.nodeLocal -}}
metadata:
  labels: {{- include "tidegate.nodeDns.labels" . | nindent 4 }}
  {{- if $node.serviceAddresses }}
  annotations: {checksum/rules: {{ include "tidegate.nodeDns.checksum" . | quote }}}
  {{- end }}
spec:
  serviceAccountName: {{ include "tidegate.fullname" . }}-dns
  automountServiceAccountToken: true
  # Variables such as TIDEGATE_DNS_PORT, made of Services here, could be taken for flags.
  enableServiceLinks: false
  priorityClassName: system-node-critical
  hostNetwork: true
  # The node's resolvers: the cluster's own name server is this.
  dnsPolicy: Default
  terminationGracePeriodSeconds: 30
  {{- with .Values.global.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 2 }}
  {{- end }}
  securityContext:
    seccompProfile: {type: RuntimeDefault}
  nodeSelector: {{- toYaml $node.nodeSelector | nindent 4 }}
  tolerations:
  - {operator: Exists, effect: NoExecute}
  - {operator: Exists, effect: NoSchedule}
  initContainers:
  {{- if $node.serviceAddresses }}
  - name: begin
    command: [sh, /etc/tidegate/rules.sh, begin]
    {{- include "tidegate.nodeDns.rules" . | nindent 4 }}
  {{- end }}
  # Gives the node the address, if it has it not yet. The node keeps it when the Pod ends. Of the scope of the host, or the
  # node would send from it over interfaces that have no address of their own, as those of some networks for Pods.
  - name: address
    image: {{ include "tidegate.nodeDns.image" (list . $node.addressImage) }}
    command:
    - sh
    - -ec
    - ip -4 address show dev lo | grep -q 'inet {{ $node.address }}/32' || ip address add {{ $node.address }}/32 dev lo scope host
    securityContext: {{- include "tidegate.nodeDns.changesNetwork" . | nindent 6 }}
  containers:
  - {{- include "tidegate.nodeDns.container" . | nindent 4 }}
  {{- if $node.serviceAddresses }}
  - name: rules
    command: [sh, /etc/tidegate/rules.sh, run]
    {{- include "tidegate.nodeDns.rules" . | nindent 4 }}
    resources:
      requests: {cpu: 5m, memory: 8Mi}
      limits: {memory: 32Mi}
  volumes:
  - name: rules
    configMap: {name: {{ include "tidegate.fullname" . }}-node-dns, items: [{key: rules.sh, path: rules.sh}]}
  {{- end }}
{{- end -}}

{{- define "tidegate.nodeDns.container" -}}
{{- $node := .Values.dns.nodeLocal -}}
name: tidegate
image: {{ include "tidegate.image" . | quote }}
imagePullPolicy: {{ .Values.controller.image.pullPolicy }}
# On addresses that no router leads to: on the node's others it would be an open resolver.
args: {{- include "tidegate.nodeDns.arguments" . | nindent 0 }}
{{- if $node.serviceAddresses }}
env: {{- include "tidegate.nodeDns.service" . | nindent 0 }}
{{- end }}
ports:
- {name: dns, containerPort: 53, protocol: UDP}
- {name: dns-tcp, containerPort: 53, protocol: TCP}
livenessProbe:
  httpGet: {host: {{ $node.address }}, path: /health, port: 8080, scheme: HTTP}
  initialDelaySeconds: 60
  timeoutSeconds: 5
  failureThreshold: 5
readinessProbe:
  httpGet: {host: {{ $node.address }}, path: /ready, port: 8080, scheme: HTTP}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 3
resources: {{- toYaml $node.resources | nindent 2 }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
{{- end -}}
