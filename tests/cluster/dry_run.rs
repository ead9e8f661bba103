//! Every overlay and the chart, rendered by a real kubectl and helm, are what a real API server accepts: validation,
//! admission and Pod Security.

use crate::manifests::Manifests;
use crate::server::accepted;
use ground::{Ground, Options};

#[test]
fn an_api_server_accepts_every_way_to_install() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    let chart = |values: &[&str], level: &'static str| (format!("chart {values:?}"), Manifests::chart(values), level);
    let overlay = |name: &str, level: &'static str| (format!("overlay {name}"), Manifests::overlay(name), level);
    let all = [
        overlay("deployment", "restricted"),
        overlay("daemonset", "privileged"),
        overlay("dns", "restricted"),
        overlay("kube-dns", "restricted"),
        overlay("node-local-dns", "privileged"),
        chart(&[], "restricted"),
        chart(&["dns.service.enabled=true", "controller.autoscaling.enabled=true"], "restricted"),
        chart(&["controller.kind=DaemonSet", "controller.hostNetwork=true"], "privileged"),
        chart(&["kubeDns.enabled=true", "kubeDns.verifiedPods=true", "kubeDns.multicluster=true"], "restricted"),
        chart(&["controller.enabled=false", "kubeDns.enabled=true", "kubeDns.podDisruptionBudget=true"], "restricted"),
        chart(
            &["dns.nodeLocal.enabled=true", "dns.nodeLocal.serviceAddresses={10.96.0.10,fd00:10:96::a}"],
            "privileged",
        ),
        chart(&["dns.clustersetDomain=clusterset.local"], "restricted"),
        chart(&["controller.scope.enabled=true", "controller.scope.namespace=default"], "restricted"),
    ];
    for (name, manifests, level) in all {
        let accepted = ground.enter(|| accepted(&ground.kubeconfig(), &manifests, level))?;
        accepted.map_err(|refused| anyhow::anyhow!("{name}: {refused}"))?;
        let namespaces = manifests.of_kind("Namespace").filter_map(|object| object["metadata"]["name"].as_str());
        for namespace in namespaces.chain(["tidegate"]) {
            ground.kubectl(&["delete", "namespace", namespace, "--ignore-not-found", "--wait"])?;
        }
    }
    Ok(())
}

#[test]
fn an_api_server_refuses_what_it_does_not_know() -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    let mut manifests = Manifests::overlay("deployment");
    for object in manifests.0.iter_mut().filter(|object| object["kind"] == "Deployment") {
        object["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = true.into();
    }
    let refused = ground.enter(|| accepted(&ground.kubeconfig(), &manifests, "restricted"))?;
    let refused = refused.expect_err("a privileged container is not restricted");
    assert!(refused.contains("privileged"), "{refused}");
    Ok(())
}
