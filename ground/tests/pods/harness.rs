//! A ground with a kubelet, and waiting for what becomes of Pods.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use tidegate_ground::kubelet::{self, Images};
use tidegate_ground::{Ground, Kubelet, Options, until};

/// Anything but a CronJob happens within this.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    // First: Pods end before what they talk to.
    pub(crate) kubelet: Kubelet,
    pub(crate) ground: Ground,
}

impl Cluster {
    pub(crate) fn up() -> anyhow::Result<Self> {
        Self::with_nodes(1)
    }

    pub(crate) fn with_nodes(nodes: u8) -> anyhow::Result<Self> {
        let ground = Ground::up(&Options::default())?;
        let kubelet = ground.kubelet(kubelet::Options { images: Images::usual()?, nodes })?;
        Ok(Self { kubelet, ground })
    }

    /// Creates a Pod of one container that runs a script.
    pub(crate) fn run(&self, name: &str, script: &str) -> anyhow::Result<()> {
        self.run_with(name, script, "", "")
    }

    /// The same with more fields of the container and of the Pod's spec, as YAML in one line.
    pub(crate) fn run_with(&self, name: &str, script: &str, container: &str, spec: &str) -> anyhow::Result<()> {
        let script = serde_json::to_string(script)?;
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {name}}}}}, spec: {{{spec}\n\
             containers: [{{name: main, image: host, command: [sh, -c, {script}], {container}}}]}}}}"
        );
        self.ground.apply(&pod).map(drop)
    }

    pub(crate) fn pod(&self, name: &str) -> anyhow::Result<Option<Pod>> {
        self.ground.block_on(async |client| Ok(Api::<Pod>::default_namespaced(client).get_opt(name).await?))
    }

    pub(crate) fn pods(&self, label: &str) -> anyhow::Result<Vec<Pod>> {
        let list = ListParams::default().labels(label);
        self.ground.block_on(async |client| Ok(Api::<Pod>::default_namespaced(client).list(&list).await?.items))
    }

    /// The Pod as soon as `claim` holds.
    pub(crate) fn until_pod(&self, name: &str, what: &str, claim: impl Fn(&Pod) -> bool) -> anyhow::Result<Pod> {
        let found = until(&format!("Pod {name} {what}"), SOON, || Ok(self.pod(name)?.filter(|pod| claim(pod))));
        found.with_context(|| self.ground.kubectl(&["get", "pods", "--output=yaml"]).unwrap_or_default())
    }

    pub(crate) fn until_running(&self, name: &str) -> anyhow::Result<Pod> {
        self.until_pod(name, "runs", |pod| phase(pod) == "Running")
    }

    pub(crate) fn until_gone(&self, name: &str) -> anyhow::Result<()> {
        until(&format!("Pod {name} is gone"), SOON, || Ok(self.pod(name)?.is_none().then_some(())))
    }

    /// What a Pod wrote until its end.
    pub(crate) fn words(&self, name: &str) -> anyhow::Result<String> {
        self.until_pod(name, "has ended", |pod| matches!(phase(pod), "Succeeded" | "Failed"))?;
        self.ground.kubectl(&["logs", name])
    }

    /// The body of an answer to a GET from the ground.
    pub(crate) fn get(&self, address: &str) -> anyhow::Result<String> {
        self.ground.enter(|| {
            let mut stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
            stream.set_read_timeout(Some(SOON))?;
            stream.write_all(b"GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            Ok(answer)
        })?
    }
}

pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(crate) fn address(pod: &Pod) -> String {
    pod.status.as_ref().and_then(|status| status.pod_ip.clone()).unwrap_or_default()
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The status of the only container.
pub(crate) fn main(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

pub(crate) fn restarts(pod: &Pod) -> i32 {
    main(pod).map_or(0, |status| status.restart_count)
}

/// Why the only container waits.
pub(crate) fn waits_for(pod: &Pod) -> Option<&str> {
    main(pod)?.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

pub(crate) fn names(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(ResourceExt::name_any).collect()
}
