//! Tidegate as its own manifests install it: two replicas with the rights that it asks for and no others, rolled out
//! under load.

use crate::audit::Audit;
use crate::authority::Authority;
use crate::client::Door;
use crate::doors::Doors;
use crate::harness::{Cluster, SOON, shop, tls_secret};
use crate::load::{Load, runtime_in};
use anyhow::{bail, ensure};
use ground::until;
use std::sync::Arc;

const ACCOUNT: &str = "system:serviceaccount:tidegate:tidegate";
const HOST: &str = "shop.example";
const ROLLOUTS: usize = 5;
/// Answers that are waited for after each rollout.
const ANSWERS: u64 = 500;
/// A second; a little less than the load wants, for machines that are busy with other things.
const RATE: f64 = 400.0;
/// Clients of the load that keep their connections.
const KEPT: u64 = 15;

/// `shop` grants its Secrets to Tidegate, `closed` does not, and refers to what is not there.
const OBJECTS: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: closed}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop, annotations: {tidegate.dev/ssl-redirect: 'false'}}
spec:
  ingressClassName: tidegate
  tls: [{hosts: [shop.example], secretName: shop}]
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: closed, namespace: closed}
spec:
  ingressClassName: tidegate
  tls: [{hosts: [closed.example], secretName: closed}]
  rules: [{host: closed.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: missing, port: {name: http}}}}]}}]
";

/// What the account does while this test runs, of all that it may.
const USED: [&str; 9] = [
    "watch ingresses *",
    "watch ingressclasses *",
    "watch services *",
    "watch namespaces *",
    "watch endpointslices *",
    "watch secrets shop",
    "patch ingresses/status shop",
    "create events closed",
    "update leases tidegate",
];

/// What the account may not do, whatever else it may.
const REFUSED: [&str; 29] = [
    "get secrets --all-namespaces",
    "get secrets --namespace=kube-system",
    "get secret any --namespace=kube-system",
    "get secret closed --namespace=closed",
    "create secret generic any --namespace=shop",
    "annotate secret shop a=b --namespace=shop",
    "delete secret shop --namespace=shop",
    "get configmaps --all-namespaces",
    "create configmap any --namespace=tidegate",
    "get pods --namespace=tidegate",
    "delete pods --all --namespace=tidegate",
    "run any --image=any --namespace=tidegate",
    "get deployments --namespace=tidegate",
    "scale deployment tidegate --replicas=3 --namespace=tidegate",
    "get nodes",
    "cordon node-1",
    "annotate ingress shop a=b --namespace=shop",
    "delete ingress shop --namespace=shop",
    "delete ingressclass tidegate",
    "annotate service shop a=b --namespace=shop",
    "delete service shop --namespace=shop",
    "delete namespace shop",
    "get leases --namespace=shop",
    "delete lease tidegate-leader --namespace=tidegate",
    "get events.events.k8s.io --namespace=closed",
    "create serviceaccount any --namespace=tidegate",
    "create token tidegate --namespace=tidegate",
    "create rolebinding any --clusterrole=admin --serviceaccount=tidegate:tidegate --namespace=tidegate",
    "create clusterrolebinding any --clusterrole=cluster-admin --serviceaccount=tidegate:tidegate",
];

/// The same asked for what it may: so that a refusal means something.
const GRANTED: [&str; 4] = [
    "get ingresses --all-namespaces",
    "get secret shop --namespace=shop",
    "get lease tidegate-leader --namespace=tidegate",
    "get endpointslices --all-namespaces",
];

struct Installed {
    cluster: Cluster,
    authority: Arc<Authority>,
}

impl Installed {
    fn up(audit: &Audit) -> anyhow::Result<Self> {
        let cluster = Cluster::bare(&audit.options())?;
        let authority = Arc::new(Authority::new());
        cluster.install()?;
        cluster.ground.apply(&shop(2))?;
        cluster.ground.apply(OBJECTS)?;
        cluster.ground.apply(&tls_secret("shop", "shop", &authority.issue(HOST)))?;
        cluster.ground.apply(&tls_secret("closed", "closed", &authority.issue("closed.example")))?;
        let installed = Self { cluster, authority };
        installed.tidegate(&["rollout", "status", "deployment", "tidegate", "--timeout=60s"])?;
        Ok(installed)
    }

    fn tidegate(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.cluster.ground.kubectl(&[arguments, &["--namespace=tidegate"]].concat())
    }

    /// Waits until both replicas serve the shop, and gives where they are.
    fn doors(&self) -> anyhow::Result<Doors> {
        let doors = Doors::of(&self.cluster.ground, "tidegate", "tidegate", &self.authority)?;
        until("both replicas serve", SOON, || {
            let ready: Vec<Door> = doors.ready.borrow().clone();
            let serves = |door: &Door| Ok(self.cluster.get(&door.http.to_string(), HOST, "/")?.0 == 200);
            let serving = ready.iter().map(serves).collect::<anyhow::Result<Vec<_>>>()?;
            Ok((serving == [true, true]).then_some(()))
        })?;
        Ok(doors)
    }

    /// Replaces both replicas, and waits until the old ones have ended.
    fn roll_out(&self) -> anyhow::Result<()> {
        let before = self.pods()?;
        self.tidegate(&["rollout", "restart", "deployment", "tidegate"])?;
        self.tidegate(&["rollout", "status", "deployment", "tidegate", "--timeout=60s"])?;
        until("the old replicas end", SOON, || {
            let pods = self.pods()?;
            Ok((pods.len() == 2 && pods.iter().all(|pod| !before.contains(pod))).then_some(()))
        })
    }

    fn pods(&self) -> anyhow::Result<Vec<String>> {
        let pods = self.tidegate(&["get", "pods", "--output=name"])?;
        Ok(pods.lines().map(str::to_owned).collect())
    }

    /// Runs kubectl as the account of Tidegate.
    fn as_account(&self, arguments: &str) -> anyhow::Result<String> {
        let account = format!("--as={ACCOUNT}");
        let arguments: Vec<&str> = arguments.split(' ').chain([account.as_str()]).collect();
        self.cluster.ground.kubectl(&arguments)
    }
}

#[test]
fn an_installed_tidegate_is_rolled_out_without_a_lost_request() -> anyhow::Result<()> {
    let installed = Installed::up(&Audit::of(ACCOUNT)?)?;
    let doors = installed.doors()?;
    let runtime = runtime_in(&installed.cluster.ground)?;
    let load = Load::start(&runtime, &doors.ready, HOST);
    let done = (0..ROLLOUTS).try_for_each(|_| {
        installed.roll_out()?;
        runtime.block_on(load.passes(ANSWERS));
        anyhow::Ok(())
    });
    let report = runtime.block_on(load.finish());
    println!("{report}");
    done?;
    assert!(report.failures.is_empty() && report.rate >= RATE, "{report}");
    // Each rollout ends them all.
    assert!(report.ended >= KEPT * ROLLOUTS as u64, "{report}");
    Ok(())
}

#[test]
fn an_installed_tidegate_may_do_what_it_does_and_nothing_else() -> anyhow::Result<()> {
    let audit = Audit::of(ACCOUNT)?;
    let installed = Installed::up(&audit)?;
    drop(installed.doors()?);
    let ground = &installed.cluster.ground;
    let published = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}"#;
    installed.tidegate(&[
        "patch",
        "service",
        "tidegate",
        "--subresource=status",
        "--type=merge",
        "--patch",
        published,
    ])?;
    until("the Ingress has the address of the Service", SOON, || {
        let path = "--output=jsonpath={.status.loadBalancer.ingress[*].ip}";
        let address = ground.kubectl(&["get", "ingress", "shop", "--namespace=shop", path])?;
        Ok((address == "192.0.2.7").then_some(()))
    })?;
    until("an Event tells of the Secret that may not be read", SOON, || {
        let told = ground.kubectl(&["describe", "ingress", "closed", "--namespace=closed"])?;
        Ok(told.contains("SecretForbidden").then_some(()))
    })?;
    let refused = until("all that it does was done", SOON, || {
        let (granted, refused) = audit.asked()?;
        match USED.iter().find(|used| !granted.contains(**used)) {
            Some(missing) => bail!("{missing:?} is not among {granted:?}"),
            None => Ok(Some(refused)),
        }
    })?;
    ensure!(!refused.is_empty(), "a Secret of a namespace that grants none was never asked for");
    for asked in &refused {
        assert!(asked.ends_with(" secrets closed"), "refused: {refused:?}");
    }

    for arguments in GRANTED {
        installed.as_account(arguments)?;
    }
    for arguments in REFUSED {
        match installed.as_account(arguments) {
            Ok(done) => bail!("kubectl {arguments} was not refused: {done}"),
            Err(error) => assert!(error.to_string().contains("is forbidden"), "kubectl {arguments}: {error}"),
        }
    }
    Ok(())
}
