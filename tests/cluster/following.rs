//! Real objects, real controllers, real Pods: what is made is served, and what ends is not.

use crate::harness::{Cluster, SOON};
use ground::until;

/// Two Pods behind `echo.example`.
pub(crate) const ECHO: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: echo}
spec:
  replicas: 2
  selector: {matchLabels: {app: echo}}
  template:
    metadata: {labels: {app: echo}}
    spec:
      containers:
      - name: echo
        image: echo-basic
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        readinessProbe: {httpGet: {path: /health, port: 3000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{name: http, port: 80, targetPort: 3000}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: echo}
spec:
  ingressClassName: tidegate
  rules: [{host: echo.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: echo, port: {name: http}}}}]}}]
";

#[test]
fn a_deployment_is_served_and_then_is_not() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let tidegate = cluster.tidegate(&[])?;
    cluster.until_ready(&tidegate)?;
    assert_eq!(cluster.get("10.0.0.1:8080", "echo.example", "/")?.0, 404);
    cluster.ground.apply(ECHO)?;
    until("the Deployment is served", SOON, || {
        let (status, body) = cluster.get("10.0.0.1:8080", "echo.example", "/")?;
        Ok((status == 200 && body.contains("\"echo-")).then_some(()))
    })?;
    cluster.ground.kubectl(&["delete", "ingress", "echo"])?;
    until("the Ingress is gone", SOON, || {
        Ok((cluster.get("10.0.0.1:8080", "echo.example", "/")?.0 == 404).then_some(()))
    })
}
