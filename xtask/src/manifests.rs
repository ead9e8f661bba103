//! The Kubernetes objects that the chores let Tidegate serve, each as a YAML document that a next one can follow.

use std::net::SocketAddr;

/// The namespace of all of them.
const NAMESPACE: &str = "chores";

/// An Ingress that sends all paths of `host` (`None`: of every host) to port 80 of `service`, over TLS with the
/// certificate of the Secret `tls` too.
pub(crate) fn ingress(name: &str, host: Option<&str>, service: &str, tls: Option<&str>) -> String {
    let rule = host.map(|host| format!("host: {host}\n      ")).unwrap_or_default();
    let tls = tls.map(|secret| {
        let hosts = host.unwrap_or_default();
        format!("\n  tls:\n    - hosts: [{hosts}]\n      secretName: {secret}")
    });
    let tls = tls.unwrap_or_default();
    format!(
        r"---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  ingressClassName: tidegate{tls}
  rules:
    - {rule}http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {service}
                port:
                  number: 80
"
    )
}

/// A Service whose only endpoint stands in its annotation.
pub(crate) fn annotated_service(name: &str, endpoint: SocketAddr) -> String {
    format!(
        r#"---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {NAMESPACE}
  annotations:
    tidegate.dev/endpoints: "{endpoint}"
spec:
  ports:
    - port: 80
"#
    )
}

/// A Service whose endpoints come from EndpointSlices.
pub(crate) fn service(name: &str) -> String {
    format!(
        r"---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  clusterIP: None
  ports:
    - name: http
      port: 80
"
    )
}

/// The EndpointSlice of a Service with one endpoint.
pub(crate) fn endpoint_slice(service: &str, endpoint: SocketAddr) -> String {
    let (address, port) = (endpoint.ip(), endpoint.port());
    format!(
        r"---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {service}
  namespace: {NAMESPACE}
  labels:
    kubernetes.io/service-name: {service}
addressType: IPv4
ports:
  - name: http
    port: {port}
endpoints:
  - addresses: [{address}]
    conditions:
      ready: true
"
    )
}

/// A Secret with a certificate and its key, both PEM in base64.
pub(crate) fn secret(name: &str, certificate: &str, key: &str) -> String {
    format!(
        r"---
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: {NAMESPACE}
type: kubernetes.io/tls
data:
  tls.crt: {certificate}
  tls.key: {key}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ingress_names_host_and_secret_where_they_are_given() {
        let text = ingress("shop", Some("shop.example"), "front", Some("shop-tls"));
        assert!(text.contains("  tls:\n    - hosts: [shop.example]\n      secretName: shop-tls\n  rules:\n"), "{text}");
        assert!(text.contains("    - host: shop.example\n      http:\n        paths:\n"), "{text}");
        let text = ingress("any", None, "front", None);
        assert!(text.contains("ingressClassName: tidegate\n  rules:\n    - http:\n        paths:\n"), "{text}");
    }
}
