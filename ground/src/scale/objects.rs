//! The objects of the measurement, and the endpoint changes that nobody waits for.

use super::backend::{PORT, address};
use crate::measure::Writer;
use crate::measure::objects::{create_all, service, slice};
use anyhow::Context as _;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Ingresses that name one Secret.
const SHARED: u32 = 10;
/// The name of the Service that the effects are measured on.
pub(super) const MEASURED: &str = "measured";
/// Where the numbers of addresses start that only changes use.
const CHANGED: u32 = 42_000;

/// Creates all of them and says how many there are.
pub(super) async fn create(writer: &Writer, ingresses: u32) -> anyhow::Result<usize> {
    writer.create("/api/v1/namespaces", &json!({"metadata": {"name": "scale"}})).await?;
    let class = json!({"metadata": {"name": "tidegate"}, "spec": {"controller": "tidegate.dev/ingress"}});
    writer.create("/apis/networking.k8s.io/v1/ingressclasses", &class).await?;
    let secrets = (0..ingresses.div_ceil(SHARED)).map(|number| Ok((SECRETS, secret(number)?)));
    let others = (0..ingresses).flat_map(|number| {
        let name = format!("shop-{number}");
        let addresses = [address(2 * number), address(2 * number + 1)];
        let tls = format!("tls-{}", number / SHARED);
        let ingress = ingress(&name, &host(number), &name, Some(&tls));
        [Ok((SERVICES, service(&name, "None"))), Ok((SLICES, slice(&name, PORT, &addresses))), Ok((INGRESSES, ingress))]
    });
    let measured = [
        Ok((SERVICES, service(MEASURED, "None"))),
        Ok((SLICES, slice(MEASURED, PORT, &[address(0)]))),
        Ok((INGRESSES, ingress(MEASURED, "measured.example", MEASURED, None))),
    ];
    let objects: Vec<(&str, Value)> = secrets.chain(others).chain(measured).collect::<anyhow::Result<_>>()?;
    create_all(writer, objects.into_iter().map(|(path, object)| (path.to_owned(), object))).await
}

/// Gives `changes` EndpointSlices, `rate` a second, two addresses that they have not had.
pub(super) async fn change_endpoints(writer: &Writer, slices: u32, rate: u32, changes: u32) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut writes = JoinSet::new();
    for change in 0..changes {
        ticks.tick().await;
        let writer = writer.clone();
        let name = format!("shop-{}", change % slices);
        let addresses = [address(CHANGED + 2 * change), address(CHANGED + 2 * change + 1)];
        writes.spawn(async move { writer.replace(SLICES, &slice(&name, PORT, &addresses)).await });
    }
    while let Some(written) = writes.join_next().await {
        written.context("a write panicked")??;
    }
    Ok(())
}

pub(super) const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/scale/ingresses";
pub(super) const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/scale/endpointslices";
const SERVICES: &str = "/api/v1/namespaces/scale/services";
const SECRETS: &str = "/api/v1/namespaces/scale/secrets";

/// An Ingress that sends all paths of `host` to `service`.
pub(super) fn ingress(name: &str, host: &str, service: &str, tls: Option<&str>) -> Value {
    let backend = json!({"service": {"name": service, "port": {"number": 80}}});
    let tls: Vec<Value> = tls.iter().map(|secret| json!({"hosts": [host], "secretName": secret})).collect();
    json!({
        "metadata": {"name": name},
        "spec": {
            "ingressClassName": "tidegate",
            "tls": tls,
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    })
}

/// The certificate of the Ingresses that share it, with a key of its own.
fn secret(number: u32) -> anyhow::Result<Value> {
    let hosts: Vec<String> = (number * SHARED..(number + 1) * SHARED).map(host).collect();
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(hosts)?.self_signed(&key)?;
    Ok(json!({
        "metadata": {"name": format!("tls-{number}")},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.pem(), "tls.key": key.serialize_pem()},
    }))
}

fn host(number: u32) -> String {
    format!("shop-{number}.example")
}
