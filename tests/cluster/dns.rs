//! `tidegate dns` as the cluster's name server: Pods resolve through it with the resolv.conf that a kubelet gives them,
//! and it is asked at the address of the Service kube-dns.

mod beside;
mod client;
mod drained;
mod external;
mod installed;
mod multicluster;
mod musl;
mod node_local;
mod service_address;
mod taken_over;

use crate::audit::Audit;
use crate::harness::SOON;
use anyhow::{bail, ensure};
use client::{Load, answers, says};
use ground::until;
use installed::{ACCOUNT, Installed};
use musl::Musl;

/// Answers that are waited for after each rollout, and while there is no API server.
const ANSWERS: usize = 200;

/// A ClusterIP, two Pods of a StatefulSet, and an alias that leads out of the cluster.
const SHOP: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - name: echo
        image: echo-basic
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        readinessProbe: {httpGet: {path: /health, port: 3000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: http, port: 3000}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.80, selector: {app: db}, ports: [{name: http, port: 80, targetPort: 3000}]}
";

const ALIAS: &str = "{apiVersion: v1, kind: Service, metadata: {name: shop}, spec: {type: ExternalName, externalName: web.shop.svc.upstream.example}}";
const NO_ALIAS: &str =
    r#"{"spec":{"type":"ClusterIP","externalName":null,"clusterIP":"10.96.0.81","ports":[{"port":80}]}}"#;
const ALIAS_AGAIN: &str = r#"{"spec":{"type":"ExternalName","externalName":"web.shop.svc.upstream.example","clusterIP":null,"clusterIPs":null,"ports":null}}"#;

/// What the account does, of all that it may.
const USED: [&str; 3] = ["watch services *", "watch namespaces *", "watch endpointslices *"];

/// What it may not do, whatever else it may.
const REFUSED: [&str; 9] = [
    "get secrets --all-namespaces",
    "get secret any --namespace=kube-system",
    "get configmap coredns --namespace=kube-system",
    "get pods --all-namespaces",
    "get ingresses --all-namespaces",
    "get leases --namespace=kube-system",
    "get nodes",
    "annotate service web a=b --namespace=default",
    "create token tidegate-dns --namespace=kube-system",
];

#[test]
fn pods_resolve_names_as_their_resolv_conf_has_it() -> anyhow::Result<()> {
    let audit = Audit::of(ACCOUNT)?;
    let installed = Installed::up(&audit.options())?;
    let ground = &installed.cluster.ground;
    ground.apply(&[SHOP, ALIAS].join("\n---\n"))?;
    let pods = installed.addresses_of("db", 2)?;
    let client = installed.client()?;
    // Short names, and the search list behind them.
    says(&client, &["getent", "ahostsv4", "kubernetes.default"], &["10.96.0.1"])?;
    says(&client, &["getent", "ahostsv4", "web"], &["10.96.0.80"])?;
    says(&client, &["getent", "ahostsv4", "web.default.svc"], &["10.96.0.80"])?;
    says(&client, &["getent", "ahostsv4", "web.default.svc.cluster.local."], &["10.96.0.80"])?;
    says(&client, &["getent", "ahostsv4", "db"], &[&pods[0], &pods[1]])?;
    says(&client, &["getent", "ahostsv4", "db-1.db"], &[&pods[1]])?;
    // Outside.
    says(&client, &["getent", "ahostsv4", "web.shop.svc.upstream.example"], &["192.0.2.80"])?;
    // As Alpine does, whose C library asks for both families at once, and takes one that does not exist for both.
    let musl = Musl::build()?;
    says(&client, &musl.resolves("kubernetes.default"), &["10.96.0.1"])?;
    says(&client, &musl.resolves("web"), &["10.96.0.80"])?;
    says(&client, &musl.resolves("db"), &[&pods[0], &pods[1]])?;
    says(&client, &musl.resolves("db-1.db"), &[&pods[1]])?;
    says(&client, &musl.resolves("web.shop.svc.upstream.example"), &["192.0.2.80"])?;
    says(&client, &musl.resolves("10.96.0.80"), &["web.default.svc.cluster.local"])?;
    let missing = client.run(&musl.resolves("nothing"))?;
    assert_eq!((missing.code, missing.said.as_str()), (Some(1), ""));
    let missing = client.run(&["getent", "ahostsv4", "nothing"])?;
    assert_eq!((missing.code, missing.said.as_str()), (Some(2), ""));
    // By address.
    says(&client, &["getent", "hosts", "10.96.0.80"], &["web.default.svc.cluster.local"])?;
    says(&client, &["getent", "hosts", &pods[0]], &["db-0.db.default.svc.cluster.local"])?;
    for transport in ["+notcp", "+tcp"] {
        for program in ["dig", "kdig"] {
            let ask = |kind: &str, name: &str| answers(&client, &[program, transport, "+short", kind, name]);
            let expected =
                ["0 50 3000 db-0.db.default.svc.cluster.local.", "0 50 3000 db-1.db.default.svc.cluster.local."];
            assert_eq!(ask("SRV", "_http._tcp.db.default.svc.cluster.local")?, expected, "{program} {transport}");
            let expected = ["0 100 80 web.default.svc.cluster.local."];
            assert_eq!(ask("SRV", "_http._tcp.web.default.svc.cluster.local")?, expected, "{program} {transport}");
            assert_eq!(ask("A", "web.shop.svc.upstream.example")?, ["192.0.2.80"], "{program} {transport}");
            assert_eq!(ask("AAAA", "web.default.svc.cluster.local")?, [""; 0], "{program} {transport}");
        }
    }

    says(&client, &["getent", "ahostsv4", "shop"], &["192.0.2.80"])?;
    says(&client, &musl.resolves("shop"), &["192.0.2.80"])?;
    ground.kubectl(&["patch", "service", "shop", "--type=merge", "--patch", NO_ALIAS])?;
    says(&client, &["getent", "ahostsv4", "shop"], &["10.96.0.81"])?;
    says(&client, &musl.resolves("shop"), &["10.96.0.81"])?;
    ground.kubectl(&["patch", "service", "shop", "--type=merge", "--patch", ALIAS_AGAIN])?;
    says(&client, &["getent", "ahostsv4", "shop"], &["192.0.2.80"])?;

    let (granted, refused) = audit.asked()?;
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(granted, USED.map(str::to_owned).into(), "nothing else is asked for");
    may_not_do_more(&installed)
}

fn may_not_do_more(installed: &Installed) -> anyhow::Result<()> {
    let account = format!("--as={ACCOUNT}");
    let as_account = |arguments: &str| {
        let arguments: Vec<&str> = arguments.split(' ').chain([account.as_str()]).collect();
        installed.cluster.ground.kubectl(&arguments)
    };
    as_account("get services,namespaces,endpointslices --all-namespaces")?;
    for arguments in REFUSED {
        match as_account(arguments) {
            Ok(done) => bail!("kubectl {arguments} was not refused: {done}"),
            Err(error) => ensure!(error.to_string().contains("is forbidden"), "kubectl {arguments}: {error}"),
        }
    }
    Ok(())
}

#[test]
fn no_question_is_lost_while_it_is_rolled_out_and_while_there_is_no_api_server() -> anyhow::Result<()> {
    let installed = Installed::up(&ground::Options::default())?;
    let ground = &installed.cluster.ground;
    ground.apply(&[SHOP, ALIAS].join("\n---\n"))?;
    let pods = installed.addresses_of("db", 2)?;
    let client = installed.client()?;
    ensure!(installed.ready()? == [200, 200]);
    says(&client, &["getent", "ahostsv4", "shop"], &["192.0.2.80"])?;
    says(&client, &["getent", "ahostsv4", "db"], &[&pods[0], &pods[1]])?;
    let musl = Musl::build()?;
    let load = Load::start(&installed, &musl, [&pods[0], &pods[1]])?;
    let switched = |kind: &str| {
        let (patch, address) = if kind == "ClusterIP" { (NO_ALIAS, "10.96.0.81") } else { (ALIAS_AGAIN, "192.0.2.80") };
        ground.kubectl(&["patch", "service", "shop", "--type=merge", "--patch", patch])?;
        says(&client, &["getent", "ahostsv4", "shop"], &[address])
    };
    let done = ["ClusterIP", "ExternalName", "ClusterIP"].into_iter().try_for_each(|kind| {
        installed.roll_out()?;
        switched(kind)?;
        load.passes(ANSWERS)
    });
    let done = done.and_then(|()| {
        ground.api_server().kill();
        load.passes(ANSWERS)?;
        ensure!(installed.ready()? == [200, 200], "what is known is served on");
        ground.api_server().start()?;
        switched("ExternalName")?;
        load.passes(ANSWERS)
    });
    let report = load.finish()?;
    println!("{report}");
    done?;
    assert!(report.failures.is_empty(), "{report}");

    // What is new after that is known soon.
    ground.apply(
        "{apiVersion: v1, kind: Service, metadata: {name: late}, spec: {clusterIP: 10.96.0.82, ports: [{port: 80}]}}",
    )?;
    until("the new Service has a name", SOON, || {
        Ok((client.run(&["getent", "ahostsv4", "late"])?.said.contains("10.96.0.82")).then_some(()))
    })
}
