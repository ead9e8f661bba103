//! The API server lives, and does not keep what somebody who was away would go on from: a version that is gone.

use super::{CONNECTED, FAULTS, Served, etcd, ingress};
use crate::harness::{Cluster, SOON};
use crate::relay::Relay;
use anyhow::ensure;
use ground::{Options, until};
use std::collections::BTreeSet;

const LISTS: &str = "tidegate_watch_lists_total";
/// Without a cache in the API server watches are etcd's own, and etcd's compaction is theirs.
const NO_CACHE: &str = "--watch-cache-sizes=ingresses.networking.k8s.io#0,ingressclasses.networking.k8s.io#0,\
                        services#0,namespaces#0,endpointslices.discovery.k8s.io#0";
const KINDS: [&str; 5] = ["EndpointSlice", "Ingress", "IngressClass", "Namespace", "Service"];

impl Served {
    /// Which Pods answer for a host, once there are so many.
    fn until_pods(&self, count: usize) -> anyhow::Result<()> {
        let mut pods = BTreeSet::new();
        until(&format!("{count} Pods answer"), SOON, || {
            let (_, body) = self.cluster.get("10.0.0.1:8080", "echo.example", "/")?;
            let answered: serde_json::Value = serde_json::from_str(&body)?;
            pods.extend(answered["pod"].as_str().map(str::to_owned));
            Ok((pods.len() == count).then_some(()))
        })
    }
}

#[test]
fn compaction_while_cut_off_is_a_relist_and_nothing_is_lost() -> anyhow::Result<()> {
    let options = Options { api_server_flags: vec![NO_CACHE.to_owned()], ..Options::default() };
    let cluster = Cluster::up_with(&options)?;
    let relay = Relay::up(&cluster.ground)?;
    let tidegate = cluster.tidegate_as(Relay::kubeconfig(&cluster.ground)?, &[])?;
    let served = Served { tidegate, cluster }.ready()?;
    served.under_load(|ground| {
        let lists = served.by_kind(LISTS)?;
        ensure!(lists.keys().eq(KINDS), "{lists:?}");

        // Who was away goes on where it was, as long as that is kept.
        relay.cut();
        served.until_stale(0.0)?;
        ground.apply(&ingress("early"))?;
        relay.mend();
        served.until_connected("a cut")?;
        served.until_status("early.example", 200)?;

        // Who is there does not care.
        let faults = served.by_kind(FAULTS)?;
        etcd::compact(ground)?;
        ground.kubectl(&["delete", "ingress", "early"])?;
        served.until_status("early.example", 404)?;
        ensure!(served.by_kind(FAULTS)? == faults, "a watch that was open has failed");

        relay.cut();
        served.until_stale(0.0)?;
        let lists = served.by_kind(LISTS)?;
        served.change()?;
        ground.kubectl(&["scale", "deployment", "echo", "--replicas=3"])?;
        ground.kubectl(&["rollout", "status", "deployment", "echo", "--timeout=60s"])?;
        etcd::compact(ground)?;
        ensure!(served.metric(CONNECTED)? == 0.0, "it was not cut off");
        ensure!(served.by_kind(LISTS)? == lists, "listed while cut off: {:?}", served.by_kind(LISTS)?);
        relay.mend();
        // All that was known is too old, and nothing else makes a list.
        until("each kind is listed once more", SOON, || {
            let now = served.by_kind(LISTS)?;
            ensure!(now.iter().all(|(kind, count)| *count == lists[kind] + 1), "{now:?}");
            Ok(Some(()))
        })?;
        served.until_connected("a compaction while cut off")?;
        served.until_pods(3)?;
        served.until_changed()
    })
}
