//! Services and their endpoints, as measurements create them.

use super::Writer;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::fmt::Display;

/// Writes at once.
const AT_ONCE: usize = 16;

/// Creates objects, each in the collection at its path; says how many there were.
///
/// # Errors
/// Where the API server refuses one.
pub(crate) async fn create_all(
    writer: &Writer,
    objects: impl Iterator<Item = (String, Value)>,
) -> anyhow::Result<usize> {
    let writes = objects.map(|(path, object)| async move { writer.create(&path, &object).await });
    let written: Vec<()> = stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(written.len())
}

/// Where the Services of a namespace are.
pub(crate) fn services(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/services")
}

/// Where its `EndpointSlices` are.
pub(crate) fn slices(namespace: &str) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
}

/// A Service with that address, or headless with `None`.
pub(crate) fn service(name: &str, cluster_ip: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"clusterIP": cluster_ip, "ports": [{"name": "http", "port": 80}]},
    })
}

/// The one slice of a Service.
pub(crate) fn slice(service: &str, port: u16, addresses: &[impl Display]) -> Value {
    let addresses = addresses.iter().map(ToString::to_string);
    let endpoint = |address| json!({"addresses": [address], "conditions": {"ready": true}});
    json!({
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": addresses.map(endpoint).collect::<Vec<Value>>(),
    })
}
