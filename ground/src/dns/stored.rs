//! Objects as an API server stores them, written past it: its own creation of a Service looks at all others, and takes
//! hours for a hundred thousand.

use super::cluster::{Cluster, Service};
use crate::measure::Writer;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Client, Config};
use serde_json::{Value, json};
use tidegate_ground::ETCD;

/// Writes at once.
const AT_ONCE: usize = 32;
/// When all of them were made, as far as they say.
const CREATED: &str = "2026-01-01T00:00:00Z";

/// Stores all Services of a cluster with their slices; says how many objects that are. Runs in the ground's network.
///
/// # Errors
/// Where etcd takes one not.
pub(super) async fn store_all(cluster: Cluster) -> anyhow::Result<usize> {
    let uri = format!("http://{ETCD}").parse().context("the address of etcd")?;
    let writer = Writer::new(Client::try_from(Config::new(uri))?);
    let put = async |(number, (key, object)): (usize, (String, Value))| {
        let value = STANDARD.encode(serde_json::to_vec(&with_metadata(object, number))?);
        let put = json!({"key": STANDARD.encode(format!("/registry/{key}")), "value": value});
        writer.create("/v3/kv/put", &put).await.context(key)
    };
    let objects = cluster.all().flat_map(stored).enumerate();
    let written: Vec<()> = stream::iter(objects.map(put)).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(written.len())
}

/// A Service, its slice and the record of its address, each with its key.
fn stored(service: Service) -> impl Iterator<Item = (String, Value)> {
    let [(_, mut object), (_, mut slice)] = service.objects();
    let (name, namespace) = (service.name(), service.namespace());
    let of_kind = |object: &mut Value, version: &str, kind: &str| {
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        object["metadata"]["namespace"] = namespace.as_str().into();
    };
    of_kind(&mut object, "v1", "Service");
    of_kind(&mut slice, "discovery.k8s.io/v1", "EndpointSlice");
    object["spec"]["clusterIPs"] = json!([object["spec"]["clusterIP"]]);
    let families = json!({"type": "ClusterIP", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"});
    if let (Some(spec), Value::Object(families)) = (object["spec"].as_object_mut(), families) {
        spec.extend(families);
    }
    let address = service.address().map(|address| {
        let owner = json!({"group": "", "resource": "services", "namespace": namespace, "name": name});
        let labels =
            json!({"ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"});
        let record = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {"name": address.to_string(), "labels": labels},
            "spec": {"parentRef": owner},
        });
        (format!("ipaddresses/{address}"), record)
    });
    let object = (format!("services/specs/{namespace}/{name}"), object);
    // Before the Service, so that nobody finds it missing.
    address.into_iter().chain([object, (format!("endpointslices/{namespace}/{name}"), slice)])
}

fn with_metadata(mut object: Value, number: usize) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("uid".to_owned(), format!("00000000-0000-4000-8000-{number:012x}").into());
        metadata.insert("creationTimestamp".to_owned(), CREATED.into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_what_would_be_created() {
        let all: Vec<_> = Cluster { services: 10 }.all().flat_map(stored).collect();
        let keys: Vec<_> = all.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys[..3], ["ipaddresses/10.96.1.0", "services/specs/ns0/svc-0", "endpointslices/ns0/svc-0"]);
        assert_eq!(keys[keys.len() - 2..], ["services/specs/ns9/svc-9", "endpointslices/ns9/svc-9"]);
        let service = &all[1].1;
        assert_eq!((&service["metadata"]["namespace"], &service["kind"]), (&json!("ns0"), &json!("Service")));
        assert_eq!(
            (&service["spec"]["clusterIPs"][0], &service["spec"]["ports"][0]["port"]),
            (&json!("10.96.1.0"), &json!(80))
        );
        assert_eq!(all[all.len() - 2].1["spec"]["clusterIPs"], json!(["None"]));
        assert_eq!(with_metadata(service.clone(), 7)["metadata"]["uid"], "00000000-0000-4000-8000-000000000007");
    }
}
