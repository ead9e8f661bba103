//! External addresses of Services, which load balancers say in the status of a Service at any time.

use crate::harness::{Cluster, SOON};
use crate::names::{Answer, ask_whole};
use ground::{Options, until};
use std::fs;

const COREFILE: &str = "
.:5353 {
    bind 10.0.0.1
    kubernetes cluster.local
    k8s_external example.org 192.0.2.0/24 {
        headless
    }
    template IN A example.net {
        answer \"{{ .Name }} 60 IN A 203.0.113.1\"
    }
}
";

const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 5432}]
endpoints: [{addresses: [172.16.0.1], hostname: db-0}]
";

/// Waits until a name in the zone has these records.
fn until_has(cluster: &Cluster, (name, kind): (&str, &str), code: &str, records: &[&str]) -> anyhow::Result<()> {
    let records = records.iter().map(|record| (*record).to_owned()).collect();
    let expected = Answer { code: code.to_owned(), records };
    until(&format!("{name} {kind} is {expected:?}"), SOON, || {
        let said = ask_whole(&cluster.ground, name, kind)?;
        Ok((said == expected).then_some(()))
    })
}

#[test]
fn addresses_of_load_balancers_are_followed() -> anyhow::Result<()> {
    let cluster = Cluster::bare(&Options::default())?;
    let folder = tempfile::tempdir()?;
    let corefile = folder.path().join("Corefile");
    fs::write(&corefile, COREFILE)?;
    let tidegate = cluster.tidegate(&["--corefile", &corefile.to_string_lossy()])?;
    cluster.until_ready(&tidegate)?;
    cluster.ground.apply(SERVICES)?;
    let web = |kind: &'static str| ("web.default.example.org.", kind);
    until_has(&cluster, ("db-0.db.default.example.org.", "A"), "NOERROR", &["172.16.0.1"])?;
    until_has(&cluster, web("A"), "NXDOMAIN", &[])?;
    let says = |ingress: &str| {
        let status = format!("{{\"status\": {{\"loadBalancer\": {{\"ingress\": [{ingress}]}}}}}}");
        cluster.ground.kubectl(&["patch", "service", "web", "--subresource=status", "--type=merge", "-p", &status])
    };
    says("{\"ip\": \"192.0.2.1\"}")?;
    until_has(&cluster, web("A"), "NOERROR", &["192.0.2.1"])?;
    let port = ("_http._tcp.web.default.example.org.", "SRV");
    until_has(&cluster, port, "NOERROR", &["0 100 80 web.default.example.org."])?;
    until_has(&cluster, ("1.2.0.192.in-addr.arpa.", "PTR"), "NOERROR", &["web.default.example.org."])?;

    // It moves, and then has a name.
    says("{\"ip\": \"192.0.2.2\"}, {\"ip\": \"192.0.2.3\"}")?;
    until_has(&cluster, web("A"), "NOERROR", &["192.0.2.2", "192.0.2.3"])?;
    until_has(&cluster, ("1.2.0.192.in-addr.arpa.", "PTR"), "NXDOMAIN", &[])?;
    says("{\"hostname\": \"lb.example.net\"}")?;
    until_has(&cluster, web("A"), "NOERROR", &["203.0.113.1", "lb.example.net."])?;
    until_has(&cluster, port, "NOERROR", &["0 100 80 lb.example.net."])?;
    cluster.ground.kubectl(&["delete", "service", "web"])?;
    until_has(&cluster, web("A"), "NXDOMAIN", &[])
}
