{{/* What other charts have and this one cannot: each with what to use instead. */}}
{{- define "tidegate.refusals" -}}
{{- $controller := .Values.controller -}}
{{- $instead := dict
  "config" "there is no ConfigMap of settings: each is a flag, see controller.extraArgs and `tidegate run --help`"
  "configAnnotations" "there is no ConfigMap of settings: each is a flag, see controller.extraArgs"
  "admissionWebhooks" "there is no webhook in the path of an apply: run `tidegate check` on manifests before, and read the Events after"
  "allowSnippetAnnotations" "there are no snippets: no annotation carries code or configuration text"
  "lifecycle" "the program drains by itself on SIGTERM: see controller.drain"
  "disableLeaderElection" "every replica serves without the Lease, which only says who writes: see controller.updateStatus"
  "addHeaders" "headers are not set by the chart"
  "proxySetHeaders" "headers are not set by the chart"
  "ingressClass" "use controller.ingressClassResource.name"
  "controllerClass" "use controller.ingressClassResource.controllerValue"
  "ingressClassByName" "a class that controller.ingressClassResource names is always found by name"
  "publishStatusAddress" "use controller.publishAddresses"
  "reportNodeInternalIp" "use controller.publishNodeAddresses"
  "tcp" "only HTTP, HTTPS and DNS are served"
  "udp" "only HTTP, HTTPS and DNS are served"
  "keda" "use controller.autoscaling, or a ScaledObject of your own on the Deployment"
  "autoscalingTemplate" "use controller.autoscaling"
-}}
{{- range $key, $message := $instead -}}
{{- if hasKey $controller $key }}{{ fail (printf "controller.%s is not supported: %s" $key $message) }}{{ end -}}
{{- end -}}
{{- range $key := list "tcp" "udp" -}}
{{- if hasKey $.Values $key }}{{ fail (printf "%s is not supported: only HTTP, HTTPS and DNS are served" $key) }}{{ end -}}
{{- end -}}
{{- if hasKey .Values "defaultBackend" -}}
{{- fail "defaultBackend is not supported: run a Service of your own and name it in controller.defaultBackendService" -}}
{{- end -}}
{{- include "tidegate.contradictions" . -}}
{{- end -}}

{{/* Values that are fine alone and not together. */}}
{{- define "tidegate.contradictions" -}}
{{- $controller := .Values.controller -}}
{{- if not (include "tidegate.hasController" $) }}{{ include "tidegate.refusalsWithoutController" . }}{{ end -}}
{{- if and $controller.hostNetwork $controller.hostPort.enabled -}}
{{- fail "controller.hostNetwork and controller.hostPort.enabled are two ways to the same ports: choose one" -}}
{{- end -}}
{{- if and $controller.hostNetwork .Values.dns.service.enabled -}}
{{- fail "dns.service.enabled with controller.hostNetwork would make every node a resolver for everybody: install a second release for DNS" -}}
{{- end -}}
{{- include "tidegate.serviceAddresses" (default dict .Values.dns.nodeLocal) -}}
{{- if and (eq $controller.kind "DaemonSet") $controller.autoscaling.enabled -}}
{{- fail "controller.autoscaling.enabled scales a Deployment, and controller.kind is DaemonSet" -}}
{{- end -}}
{{- if and $controller.autoscaling.enabled (gt (int $controller.autoscaling.minReplicas) (int $controller.autoscaling.maxReplicas)) -}}
{{- fail "controller.autoscaling.minReplicas is more than controller.autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and $controller.metrics.serviceMonitor.enabled (not $controller.metrics.enabled) -}}
{{- fail "controller.metrics.serviceMonitor.enabled needs the Service that controller.metrics.enabled makes" -}}
{{- end -}}
{{- if and $controller.publishAddresses $controller.publishNodeAddresses -}}
{{- fail "controller.publishAddresses and controller.publishNodeAddresses: choose one" -}}
{{- end -}}
{{- if and $controller.publishService.pathOverride (or $controller.publishAddresses $controller.publishNodeAddresses) -}}
{{- fail "controller.publishService.pathOverride and controller.publishAddresses or controller.publishNodeAddresses: choose one" -}}
{{- end -}}
{{- if and (or $controller.scope.namespace $controller.scope.namespaces) (not $controller.scope.enabled) -}}
{{- fail "controller.scope names namespaces: set controller.scope.enabled too" -}}
{{- end -}}
{{- if and .Values.rbac.secrets.allNamespaces .Values.secretNamespaces -}}
{{- fail "rbac.secrets.allNamespaces and secretNamespaces: choose one" -}}
{{- end -}}
{{- if and $controller.autoscaling.enabled (not (or $controller.autoscaling.targetCPUUtilizationPercentage $controller.autoscaling.targetMemoryUtilizationPercentage)) -}}
{{- fail "controller.autoscaling.enabled needs a target: of CPU, memory or both" -}}
{{- end -}}
{{- if and $controller.hostNetwork $controller.networkPolicy.enabled -}}
{{- fail "controller.networkPolicy.enabled has no effect on Pods with controller.hostNetwork" -}}
{{- end -}}
{{- $least := ternary $controller.autoscaling.minReplicas $controller.replicaCount $controller.autoscaling.enabled -}}
{{- if and (eq $controller.kind "Deployment") (gt (int $least) 1) (not (kindIs "string" $controller.minAvailable)) (ge (int $controller.minAvailable) (int $least)) -}}
{{- fail (printf "controller.minAvailable is %d of %d replicas: no node could be drained" (int $controller.minAvailable) (int $least)) -}}
{{- end -}}
{{- $needed := add (int $controller.drain.delaySeconds) (int $controller.drain.timeoutSeconds) -}}
{{- with $controller.terminationGracePeriodSeconds -}}
{{- if lt (int .) (int $needed) -}}
{{- fail (printf "controller.terminationGracePeriodSeconds is %d, and draining takes up to %d s: controller.drain" (int .) (int $needed)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Addresses that are well written, and cannot be the Service's: of no host, of a host itself, of a link, of many hosts. */}}
{{- define "tidegate.serviceAddresses" -}}
{{- if and .serviceAddresses (not .enabled) -}}
{{- fail "dns.nodeLocal.serviceAddresses has no effect: set dns.nodeLocal.enabled too" -}}
{{- end -}}
{{- $families := dict -}}
{{- range $address := .serviceAddresses -}}
{{- if regexMatch "^((0|127|169\\.254|22[4-9]|2[345][0-9])\\.|[0:]*:[0:]*1?$|(?i)fe[89ab].:|(?i)ff..:)" $address -}}
{{- fail (printf "dns.nodeLocal.serviceAddresses: %s is no address of a Service: use the clusterIP of kube-dns" $address) -}}
{{- end -}}
{{- $family := ternary "IPv6" "IPv4" (contains ":" $address) -}}
{{- with get $families $family -}}
{{- fail (printf "dns.nodeLocal.serviceAddresses: %s and %s are both of %s: a Service has one of each family" . $address $family) -}}
{{- end -}}
{{- $_ := set $families $family $address -}}
{{- end -}}
{{- end -}}

{{/* Values that are nothing without the ingress controller. */}}
{{- define "tidegate.refusalsWithoutController" -}}
{{- $node := default dict .Values.dns.nodeLocal -}}
{{- if not (or .Values.kubeDns.enabled $node.enabled) -}}
{{- fail "controller.enabled is false, and so are kubeDns.enabled and dns.nodeLocal.enabled: nothing would be installed" -}}
{{- end -}}
{{- if .Values.dns.service.enabled -}}
{{- fail "dns.service.enabled leads to the Pods of the ingress controller, and controller.enabled is false: kubeDns.enabled has the Service kube-dns" -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.dns.rateLimit) -}}
{{- fail "dns.rateLimit is a flag of the ingress controller, and controller.enabled is false: dns.nodeLocal.extraArgs and kubeDns.extraArgs have flags of their own" -}}
{{- end -}}
{{- if or .Values.secretNamespaces .Values.rbac.secrets.allNamespaces -}}
{{- fail "secretNamespaces and rbac.secrets.allNamespaces are for the ingress controller, and controller.enabled is false: DNS reads no Secret" -}}
{{- end -}}
{{- if and .Values.dns.clustersetDomain (not $node.enabled) -}}
{{- fail "dns.clustersetDomain is a flag of the ingress controller and of dns.nodeLocal, and both are off: kubeDns serves what its Corefile says, with kubeDns.multicluster" -}}
{{- end -}}
{{- end -}}
