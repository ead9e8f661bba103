//! The manifests of the tests, and the ways in which people and tools change files.

use crate::authority::Issued;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// A directory of manifests.
pub(crate) struct Manifests(TempDir);

impl Manifests {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes beside the file and renames, as most editors and tools do.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let beside = self.path().join(format!(".{name}.new"));
        fs::write(&beside, text).expect("written");
        fs::rename(beside, self.path().join(name)).expect("renamed");
    }

    /// Empties the file and writes it anew, in pieces.
    pub(crate) fn overwrite(&self, name: &str, text: &str) {
        let mut file = File::create(self.path().join(name)).expect("open");
        for piece in text.as_bytes().chunks(100) {
            file.write_all(piece).expect("written");
        }
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).expect("removed");
    }

    /// Swaps the whole content of `mount`, as the kubelet does with a ConfigMap: a link to a new directory takes the
    /// place of the link to the old one.
    pub(crate) fn swap(&self, mount: &str, version: usize, name: &str, text: &str) {
        let mount = self.path().join(mount);
        let (link, next) = (mount.join("..data"), mount.join(format!("..{version}")));
        let old = fs::read_link(&link).ok();
        fs::create_dir_all(&next).expect("a directory");
        fs::write(next.join(name), text).expect("written");
        symlink(next.file_name().expect("a name"), mount.join("..next")).expect("a link");
        fs::rename(mount.join("..next"), &link).expect("renamed");
        match old {
            Some(old) => fs::remove_dir_all(mount.join(old)).expect("removed"),
            None => symlink(Path::new("..data").join(name), mount.join(name)).expect("a link"),
        }
    }
}

/// An Ingress with one host.
pub(crate) fn ingress(name: &str, created: u32, host: &str, paths: &[(&str, &str)]) -> String {
    ingress_of_hosts(name, created, std::iter::once(host.to_owned()), paths)
}

/// An Ingress with many hosts of the same paths, each a path and its Service.
pub(crate) fn ingress_of_hosts(
    name: &str,
    created: u32,
    hosts: impl Iterator<Item = String>,
    paths: &[(&str, &str)],
) -> String {
    let mut text = format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\n\
         metadata: {{name: {name}, namespace: shop, creationTimestamp: \"{created}-01-01T00:00:00Z\"}}\n\
         spec:\n  ingressClassName: tidegate\n  rules:\n"
    );
    for host in hosts {
        writeln!(text, "    - host: {host}\n      http:\n        paths:").expect("text");
        for (path, service) in paths {
            let backend = format!("{{service: {{name: {service}, port: {{number: 80}}}}}}");
            writeln!(text, "          - {{path: {path}, pathType: Prefix, backend: {backend}}}").expect("text");
        }
    }
    text
}

/// A Service whose endpoints are in slices.
pub(crate) fn service(name: &str, protocol: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{ports: [{{name: http, port: 80, appProtocol: {protocol}}}]}}\n"
    )
}

/// A Service that names its endpoints itself.
pub(crate) fn annotated_service(name: &str, endpoints: impl Iterator<Item = SocketAddr>) -> String {
    let endpoints: Vec<String> = endpoints.map(|endpoint| endpoint.to_string()).collect();
    let annotation = format!("tidegate.dev/endpoints: \"{}\"", endpoints.join(","));
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop, annotations: {{{annotation}}}}}\n\
         spec: {{ports: [{{port: 80}}]}}\n"
    )
}

/// Whether an endpoint still serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Ready,
    Terminating,
}

/// The EndpointSlices of a Service: one an endpoint, since each has its own port here.
pub(crate) fn slices(service: &str, endpoints: impl Iterator<Item = (SocketAddr, Condition)>) -> String {
    let mut text = String::new();
    for (address, condition) in endpoints {
        let (ip, port) = (address.ip(), address.port());
        let conditions = match condition {
            Condition::Ready => "{ready: true}",
            Condition::Terminating => "{ready: false, serving: true, terminating: true}",
        };
        writeln!(
            text,
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
             metadata: {{name: {service}-{port}, namespace: shop, labels: {{kubernetes.io/service-name: {service}}}}}\n\
             ports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [{ip}], conditions: {conditions}}}]"
        )
        .expect("text");
    }
    text
}

/// A Secret with a certificate, and an Ingress that shows it on all hosts of `wildcard`; it has no other path than
/// `/wild`.
pub(crate) fn certificate(issued: &Issued, wildcard: &str) -> String {
    let indented = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: wildcard, namespace: shop}}\ntype: kubernetes.io/tls\n\
         stringData:\n  tls.crt: |\n{}  tls.key: |\n{}---\napiVersion: networking.k8s.io/v1\nkind: Ingress\n\
         metadata: {{name: tls, namespace: shop}}\nspec:\n  ingressClassName: tidegate\n  \
         tls: [{{hosts: [\"{wildcard}\"], secretName: wildcard}}]\n  rules:\n    - host: \"{wildcard}\"\n      \
         http: {{paths: [{{path: /wild, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}\n",
        indented(&issued.chain),
        indented(&issued.key)
    )
}
