//! Manifests as the tests write them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A directory of manifests.
pub(crate) struct Manifests(TempDir);

impl Manifests {
    pub(crate) fn new(files: &[(&str, String)]) -> Self {
        let manifests = Self(tempfile::tempdir().expect("a directory"));
        files.iter().for_each(|(name, text)| manifests.write(name, text));
        manifests
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.file(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    }
}

/// An Ingress that sends a path of a host to port 80 of a Service.
pub(crate) fn ingress(name: &str, host: &str, path: &str, service: &str) -> String {
    format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  namespace: shop\nspec:\n  \
         ingressClassName: tidegate\n  rules:\n    - host: {host}\n      http:\n        paths:\n          - path: {path}\n            \
         pathType: Prefix\n            backend:\n              service:\n                name: {service}\n                \
         port:\n                  number: 80\n"
    )
}

/// The same with TLS for the host.
pub(crate) fn tls_ingress(name: &str, host: &str, service: &str) -> String {
    ingress(name, host, "/", service).replace("  rules:", &format!("  tls:\n    - hosts: [{host}]\n  rules:"))
}

/// A Service whose endpoints stand in its annotation.
pub(crate) fn service(name: &str, endpoints: &[SocketAddr]) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: shop\n  annotations:\n    \
         tidegate.dev/endpoints: \"{}\"\nspec:\n  clusterIP: 10.96.0.10\n  ports:\n    - port: 80\n",
        endpoints.join(",")
    )
}
