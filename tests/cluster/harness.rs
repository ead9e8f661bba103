//! A cluster, and Tidegate beside it or in it.

use crate::authority::Issued;
use crate::tools::repository;
use ground::kubelet::{self, Image, Images};
use ground::{Ground, Kubelet, Options, Process, until};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What takes longer than this never comes.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A control plane with nodes. The image `tidegate` is the program under test, and `busybox` has the machine's own.
pub(crate) struct Cluster {
    // First: Pods end before what they talk to.
    _kubelet: Kubelet,
    pub(crate) ground: Ground,
}

/// Tidegate as a process of the ground, outside any Pod.
pub(crate) struct Tidegate {
    pub(crate) process: Process,
    admin: &'static str,
}

impl Cluster {
    pub(crate) fn up() -> anyhow::Result<Self> {
        Self::up_with(&Options::default())
    }

    /// With the IngressClass `tidegate`.
    pub(crate) fn up_with(options: &Options) -> anyhow::Result<Self> {
        let cluster = Self::bare(options)?;
        cluster.ground.apply("{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: tidegate}, spec: {controller: tidegate.dev/ingress}}")?;
        Ok(cluster)
    }

    /// Without an IngressClass.
    pub(crate) fn bare(options: &Options) -> anyhow::Result<Self> {
        let ground = Ground::up(options)?;
        let program = Image::new(env!("CARGO_BIN_EXE_tidegate")).at("/usr/local/bin/tidegate").user(65532);
        let images = Images::usual()?.with("tidegate", program).with("busybox", Image::host());
        let images = images.with("tidegate-node-rules", Image::host());
        let kubelet = ground.kubelet(kubelet::Options { images, nodes: 2 })?;
        Ok(Self { _kubelet: kubelet, ground })
    }

    /// Makes Tidegate's own objects, two replicas among them, and does not wait for these.
    pub(crate) fn install(&self) -> anyhow::Result<()> {
        let overlay = repository("deploy/kustomize/overlays/deployment");
        self.ground.kubectl(&["apply", "-k", &overlay.to_string_lossy()]).map(drop)
    }

    /// Starts Tidegate with the rights of an administrator, on 8080, 8443, 5353 and 9901 of the ground's own addresses.
    pub(crate) fn tidegate(&self, flags: &[&str]) -> anyhow::Result<Tidegate> {
        self.tidegate_as(self.ground.kubeconfig(), flags)
    }

    /// One more, with its admin endpoint there and its other ports anywhere.
    pub(crate) fn tidegate_at(&self, admin: &'static str, flags: &[&str]) -> anyhow::Result<Tidegate> {
        let elsewhere = ["--http-bind", "127.0.0.1:0", "--https-bind", "127.0.0.1:0", "--dns-bind", "127.0.0.1:0"];
        let flags = [&elsewhere[..], &["--admin-bind", admin], flags].concat();
        Ok(Tidegate { admin, ..self.tidegate_as(self.ground.kubeconfig(), &flags)? })
    }

    /// The same with the rights that a kubeconfig gives.
    pub(crate) fn tidegate_as(&self, kubeconfig: PathBuf, flags: &[&str]) -> anyhow::Result<Tidegate> {
        self.start(kubeconfig, flags, "127.0.0.1:9901")
    }

    /// A second one, which has seen nothing of what was before: on 18080, 18443, 15353 and 19901.
    pub(crate) fn fresh_tidegate(&self, flags: &[&str]) -> anyhow::Result<Tidegate> {
        let (http, https, dns, admin) = ("0.0.0.0:18080", "0.0.0.0:18443", "0.0.0.0:15353", "127.0.0.1:19901");
        let binds = ["--http-bind", http, "--https-bind", https, "--dns-bind", dns, "--admin-bind", admin];
        self.start(self.ground.kubeconfig(), &[&binds[..], flags].concat(), admin)
    }

    fn start(&self, kubeconfig: PathBuf, flags: &[&str], admin: &'static str) -> anyhow::Result<Tidegate> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(["--access-log", "off"]).args(flags);
        command.stdout(Stdio::null()).stderr(Stdio::inherit());
        Ok(Tidegate { process: self.ground.spawn(command)?, admin })
    }

    /// Waits until Tidegate serves.
    pub(crate) fn until_ready(&self, tidegate: &Tidegate) -> anyhow::Result<()> {
        until("Tidegate is ready", SOON, || {
            Ok(self.get(tidegate.admin, "localhost", "/readyz").ok().filter(|(status, _)| *status == 200).map(drop))
        })
    }

    /// What a metric says of which there is one.
    pub(crate) fn metric(&self, tidegate: &Tidegate, name: &str) -> anyhow::Result<f64> {
        let metrics = self.admin(tidegate, "/metrics")?;
        let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        let value = lines.find(|(found, _)| found.split('{').next() == Some(name)).map(|(_, value)| value.parse());
        Ok(value.ok_or_else(|| anyhow::anyhow!("there is no metric {name}"))??)
    }

    /// A page of the admin endpoint.
    pub(crate) fn admin(&self, tidegate: &Tidegate, path: &str) -> anyhow::Result<String> {
        Ok(self.get(tidegate.admin, "localhost", path)?.1)
    }

    /// The status and body of a GET, sent from within the ground.
    pub(crate) fn get(&self, address: &str, host: &str, path: &str) -> anyhow::Result<(u16, String)> {
        self.ground.enter(|| get(address, host, path))?
    }
}

/// A namespace that grants its Secrets to an installed Tidegate, with a Deployment and a Service that answer for it.
pub(crate) fn shop(replicas: usize) -> String {
    format!(
        "
{{apiVersion: v1, kind: Namespace, metadata: {{name: shop}}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: tidegate-secrets, namespace: shop}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tidegate-secrets}}
subjects: [{{kind: ServiceAccount, name: tidegate, namespace: tidegate}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop, namespace: shop}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      containers:
      - name: echo
        image: echo-basic
        env: [{{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
        readinessProbe: {{httpGet: {{path: /health, port: 3000}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: shop}}
spec: {{selector: {{app: shop}}, ports: [{{name: http, port: 80, targetPort: 3000}}]}}
"
    )
}

/// A Secret for TLS.
pub(crate) fn tls_secret(namespace: &str, name: &str, issued: &Issued) -> String {
    let data = serde_json::json!({"tls.crt": issued.chain, "tls.key": issued.key});
    let metadata = serde_json::json!({"namespace": namespace, "name": name});
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "stringData": data,
    });
    secret.to_string()
}

/// The status and body of a GET on a connection of its own.
pub(crate) fn get(address: &str, host: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| anyhow::anyhow!("no HTTP: {answer:?}"))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}
