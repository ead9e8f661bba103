//! Services of several clusters: the resource is brought by a CustomResourceDefinition, which a cluster may get, and lose,
//! at any time.

use super::client::says;
use super::installed::{ACCOUNT, Installed};
use crate::audit::Audit;
use crate::harness::{Cluster, SOON};
use crate::names::{Answer, ask, ask_whole};
use crate::tools::repository;
use anyhow::ensure;
use ground::{Options, until};

/// Where names are asked for.
const ZONE: &str = "default.svc.clusterset.local.";

/// ServiceImports, with one of the versions that there are of them.
fn definition(version: &str) -> String {
    let port = "{type: object, required: [port], properties: {name: {type: string}, protocol: {type: string}, \
                port: {type: integer, format: int32}}}";
    let spec = format!(
        "{{type: object, required: [ports, type], properties: {{type: {{type: string}}, \
         ips: {{type: array, items: {{type: string}}}}, ports: {{type: array, items: {port}}}}}}}"
    );
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: serviceimports.multicluster.x-k8s.io
  annotations: {{api-approved.kubernetes.io: 'https://github.com/kubernetes/enhancements/pull/1645'}}
spec:
  group: multicluster.x-k8s.io
  scope: Namespaced
  names: {{plural: serviceimports, singular: serviceimport, kind: ServiceImport}}
  versions:
  - name: {version}
    served: true
    storage: true
    schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {spec}}}}}}}
"
    )
}

fn import(version: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: multicluster.x-k8s.io/{version}, kind: ServiceImport, metadata: {{name: {name}}}, spec: {spec}}}"
    )
}

/// A slice behind `db`, of one endpoint called `db-0`.
fn slice(cluster: &str, address: &str) -> String {
    let labels = format!(
        "{{multicluster.kubernetes.io/service-name: db, multicluster.kubernetes.io/source-cluster: {cluster}}}"
    );
    format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: db-{cluster}, labels: {labels}}}, \
         addressType: IPv4, ports: [{{name: sql, port: 5432}}], endpoints: [{{addresses: [{address}], hostname: db-0}}]}}"
    )
}

fn is(code: &str, records: &[&str]) -> Answer {
    Answer { code: code.to_owned(), records: records.iter().map(|record| (*record).to_owned()).collect() }
}

/// Waits until a name has these records.
fn until_has(cluster: &Cluster, name: &str, kind: &str, expected: &Answer) -> anyhow::Result<()> {
    until(&format!("{name} {kind} is {expected:?}"), SOON, || {
        let said = ask_whole(&cluster.ground, &format!("{name}.{ZONE}"), kind)?;
        Ok((said == *expected).then_some(()))
    })
}

fn define(cluster: &Cluster, version: &str) -> anyhow::Result<()> {
    let resource = "crd/serviceimports.multicluster.x-k8s.io";
    cluster.ground.apply(&definition(version))?;
    cluster.ground.kubectl(&["wait", "--for=condition=Established", resource, "--timeout=60s"]).map(drop)
}

#[test]
fn services_of_several_clusters_come_and_go_with_their_definition() -> anyhow::Result<()> {
    let cluster = Cluster::bare(&Options::default())?;
    let ground = &cluster.ground;
    let tidegate = cluster.tidegate(&["--dns-clusterset-domain", "clusterset.local"])?;
    // Nothing waits for what nobody has defined.
    cluster.until_ready(&tidegate)?;
    assert_eq!(ask_whole(ground, "dns-version.clusterset.local.", "TXT")?, is("NOERROR", &["\"1.0.0\""]));
    until_has(&cluster, "web", "A", &is("NXDOMAIN", &[]))?;

    define(&cluster, "v1beta1")?;
    let web = "{type: ClusterSetIP, ips: [10.97.0.1], ports: [{name: http, port: 80}]}";
    let service =
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: 10.96.0.80, ports: [{port: 80}]}}";
    let db = import("v1beta1", "db", "{type: Headless, ports: [{name: sql, port: 5432}]}");
    let odd = import("v1beta1", "odd", "{type: Nothing, ports: []}");
    let objects = [&import("v1beta1", "web", web), service, &db, &odd, &slice("east", "172.16.0.1")];
    ground.apply(&objects.join("\n---\n"))?;
    until_has(&cluster, "web", "A", &is("NOERROR", &["10.97.0.1"]))?;
    until_has(&cluster, "_http._tcp.web", "SRV", &is("NOERROR", &["0 100 80 web.default.svc.clusterset.local."]))?;
    until_has(&cluster, "db-0.east.db", "A", &is("NOERROR", &["172.16.0.1"]))?;
    until_has(&cluster, "odd", "A", &is("NXDOMAIN", &[]))?;
    for (address, name) in [("1.0.97.10", "web"), ("1.0.16.172", "db-0.east.db")] {
        let said = ask_whole(ground, &format!("{address}.in-addr.arpa."), "PTR")?;
        assert_eq!(said, is("NOERROR", &[&format!("{name}.{ZONE}")]), "{address}");
    }
    assert_eq!(ask(ground, "web.default.svc", "A")?, is("NOERROR", &["10.96.0.80"]), "its own is another one");
    assert_eq!(ask(ground, "db.default.svc", "A")?, is("NXDOMAIN", &[]));

    // Another cluster comes, and an endpoint moves.
    ground.apply(&[slice("west", "172.17.0.1"), slice("east", "172.16.0.2")].join("\n---\n"))?;
    until_has(&cluster, "db", "A", &is("NOERROR", &["172.16.0.2", "172.17.0.1"]))?;
    until_has(&cluster, "db-0.west.db", "A", &is("NOERROR", &["172.17.0.1"]))?;
    let targets = ["db-0.east.db", "db-0.west.db"].map(|name| format!("0 50 5432 {name}.{ZONE}"));
    until_has(&cluster, "_sql._tcp.db", "SRV", &is("NOERROR", &[&targets[0], &targets[1]]))?;
    ground.kubectl(&["delete", "serviceimport", "db"])?;
    until_has(&cluster, "db", "A", &is("NXDOMAIN", &[]))?;
    until_has(&cluster, "web", "A", &is("NOERROR", &["10.97.0.1"]))?;

    // A server that has just started may know its definitions later than it answers.
    ground.api_server().kill();
    ground.api_server().start()?;
    let late = import("v1beta1", "late", &web.replace("10.97.0.1", "10.97.0.3"));
    until("the API server takes objects", SOON, || Ok(ground.apply(&late).ok()))?;
    until("what is new after that is known", SOON, || {
        let [web, late] = ["web", "late"].map(|name| ask_whole(ground, &format!("{name}.{ZONE}"), "A"));
        ensure!(web? == is("NOERROR", &["10.97.0.1"]), "what is known is served on");
        Ok((late? == is("NOERROR", &["10.97.0.3"])).then_some(()))
    })?;

    // With the definition everything of it goes, and another one brings what it has.
    ground.kubectl(&["delete", "crd", "serviceimports.multicluster.x-k8s.io"])?;
    until_has(&cluster, "web", "A", &is("NXDOMAIN", &[]))?;
    define(&cluster, "v1alpha1")?;
    ground.apply(&import("v1alpha1", "web", &web.replace("10.97.0.1", "10.97.0.2")))?;
    until_has(&cluster, "web", "A", &is("NOERROR", &["10.97.0.2"]))
}

#[test]
fn an_installation_has_the_right_to_read_them_from_its_component() -> anyhow::Result<()> {
    let audit = Audit::of(ACCOUNT)?;
    let installed = Installed::up(&audit.options())?;
    let ground = &installed.cluster.ground;
    let rights = repository("deploy/kustomize/components/multicluster/rights.yaml");
    ground.kubectl(&["apply", "--filename", &rights.display().to_string()])?;
    define(&installed.cluster, "v1beta1")?;
    let namespace = "--namespace=kube-system";
    let corefile = ground.kubectl(&["get", "configmap", "coredns", namespace, "--output=jsonpath={.data.Corefile}"])?;
    let with_zone = corefile.replace(
        "kubernetes cluster.local in-addr.arpa ip6.arpa {",
        "kubernetes cluster.local clusterset.local in-addr.arpa ip6.arpa {\n multicluster clusterset.local",
    );
    ensure!(with_zone != corefile, "{corefile}");
    let patch = serde_json::json!({"data": {"Corefile": with_zone}}).to_string();
    ground.kubectl(&["patch", "configmap", "coredns", namespace, "--type=merge", "--patch", &patch])?;
    installed.roll_out()?;
    ground.apply(
        &[import("v1beta1", "db", "{type: Headless, ports: []}"), slice("east", "172.16.0.1")].join("\n---\n"),
    )?;
    let client = installed.client()?;
    says(&client, &["getent", "ahostsv4", &format!("db.{ZONE}")], &["172.16.0.1"])?;
    says(&client, &["getent", "ahostsv4", &format!("db-0.east.db.{ZONE}")], &["172.16.0.1"])?;
    says(&client, &["getent", "ahostsv4", "kubernetes.default"], &["10.96.0.1"])?;
    let (granted, refused) = audit.asked()?;
    assert!(refused.is_empty(), "{refused:?}");
    assert!(granted.contains("watch serviceimports *"), "{granted:?}");
    Ok(())
}
