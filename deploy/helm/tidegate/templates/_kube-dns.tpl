{{/* What the Pods of `tidegate dns` are found by. */}}
{{- define "tidegate.kubeDns.selector" -}}
app.kubernetes.io/name: {{ printf "%s-dns" (include "tidegate.name" .) | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "tidegate.kubeDns.labels" -}}
{{ include "tidegate.kubeDns.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The flags that the chart sets, with the value that sets each. */}}
{{- define "tidegate.kubeDns.ownFlags" -}}
corefile: kubeDns.configMap
health-bind: nothing, since the kubelet asks there
ready-bind: nothing, since the kubelet asks there
log-format: controller.logFormat
manifests: nothing, since the cluster is the source
kubeconfig: nothing, since the Pod's account is used
context: nothing, since the Pod's account is used
{{- end -}}

{{/* What the program takes no flag for where there is a Corefile. */}}
{{- define "tidegate.kubeDns.saidByCorefile" -}}
{{- list "dns-bind" "dns-upstream" "dns-ttl" "dns-cache-ttl" "dns-pods" "dns-clusterset-domain" "cluster-domain" "watch-selector" "namespace-selector" | toJson -}}
{{- end -}}

{{- define "tidegate.kubeDns.arguments" -}}
- dns
- --corefile=/etc/coredns/Corefile
{{- /* Where the kubelet asks, whatever the Corefile says of `health` and `ready`. */}}
- --health-bind=[::]:8080
- --ready-bind=[::]:8181
- --log-format={{ .Values.controller.logFormat }}
{{- $own := include "tidegate.kubeDns.ownFlags" . | fromYaml -}}
{{- range $name, $value := .Values.kubeDns.extraArgs }}
{{- with get $own $name }}{{ fail (printf "kubeDns.extraArgs.%s: the chart sets this flag: use %s" $name .) }}{{ end }}
{{- if has $name (include "tidegate.kubeDns.saidByCorefile" $ | fromJsonArray) }}{{ fail (printf "kubeDns.extraArgs.%s: the Corefile says this: change kubeDns.configMap" $name) }}{{ end }}
{{- end }}
{{- include "tidegate.flags" .Values.kubeDns.extraArgs }}
{{- end -}}

{{/* The template of the Pods that take the place of CoreDNS's. */}}
{{- define "tidegate.kubeDns.pod" -}}
{{- $dns := .Values.kubeDns -}}
{{- $name := printf "%s-dns" (include "tidegate.fullname" .) -}}
metadata:
  labels:
    {{- include "tidegate.kubeDns.labels" . | nindent 4 }}
    # What the Service kube-dns selects: these Pods and, as long as there are any, those of CoreDNS.
    k8s-app: kube-dns
spec:
  serviceAccountName: {{ $name }}
  automountServiceAccountToken: true
  # Variables such as TIDEGATE_DNS_PORT, made of Services here, could be taken for flags.
  enableServiceLinks: false
  priorityClassName: system-cluster-critical
  # The node's resolvers: the cluster's own name server is this.
  dnsPolicy: Default
  terminationGracePeriodSeconds: {{ $dns.terminationGracePeriodSeconds }}
  {{- with .Values.global.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 2 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    seccompProfile: {type: RuntimeDefault}
  nodeSelector: {kubernetes.io/os: linux}
  tolerations:
  - {key: CriticalAddonsOnly, operator: Exists}
  - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- include "tidegate.kubeDns.selector" . | nindent 14 }}
  containers:
  - name: tidegate
    image: {{ include "tidegate.image" . | quote }}
    imagePullPolicy: {{ .Values.controller.image.pullPolicy }}
    args: {{- include "tidegate.kubeDns.arguments" . | nindent 4 }}
    ports:
    - {name: dns, containerPort: 53, protocol: UDP}
    - {name: dns-tcp, containerPort: 53, protocol: TCP}
    - {name: metrics, containerPort: 9153, protocol: TCP}
    livenessProbe:
      httpGet: {path: /health, port: 8080, scheme: HTTP}
      initialDelaySeconds: 60
      timeoutSeconds: 5
      failureThreshold: 5
    readinessProbe:
      httpGet: {path: /ready, port: 8181, scheme: HTTP}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 3
    resources: {{- toYaml $dns.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
    volumeMounts:
    - {name: corefile, mountPath: /etc/coredns, readOnly: true}
    - {name: custom, mountPath: /etc/coredns/custom, readOnly: true}
    {{- if $dns.certificateSecret }}
    # The folder whole: a kubelet never replaces what is mounted file by file (subPath).
    - {name: certificate, mountPath: /etc/tidegate/tls, readOnly: true}
    {{- end }}
    {{- with $dns.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
  # Whole: other keys are files that the Corefile names, such as NodeHosts of k3s.
  - name: corefile
    configMap: {name: {{ $dns.configMap | quote }}}
  # What the Corefiles of AKS, Gardener and k3s import from, where there is such a ConfigMap.
  - name: custom
    configMap: {name: coredns-custom, optional: true}
  {{- with $dns.certificateSecret }}
  - name: certificate
    secret: {secretName: {{ . | quote }}}
  {{- end }}
  {{- with $dns.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
