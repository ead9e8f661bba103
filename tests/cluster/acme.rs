//! cert-manager's part of an HTTP-01 exchange, played for an installed Tidegate of two replicas, with pebble as the
//! authority: what its challenges need is there at once on every replica, and what is issued is served.

mod account;
mod jws;
mod pebble;
mod solver;
mod trust;

use crate::authority::{Authority, Issued};
use crate::doors::Doors;
use crate::harness::{Cluster, SOON, get, shop, tls_secret};
use account::{Account, Order};
use anyhow::{Context as _, ensure};
use ground::{Options, until};
use pebble::Pebble;
use solver::{NAMESPACE, Shape, Solver};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const HOST: &str = "shop.example";

/// The Secret of `shop` is not there yet; `other` names none.
const OBJECTS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec:
  ingressClassName: tidegate
  tls: [{hosts: [shop.example], secretName: shop}]
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: other, namespace: shop}
spec:
  ingressClassName: tidegate
  rules: [{host: other.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}}]
";

/// An installed Tidegate, and where its replicas are reached.
struct Shop {
    // First: it ends before the ground.
    _doors: Doors,
    cluster: Cluster,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    /// Which Pods the replicas are, and how often they were restarted.
    pods: String,
}

impl Shop {
    fn up() -> anyhow::Result<Self> {
        let cluster = Cluster::bare(&Options::default())?;
        cluster.install()?;
        cluster.ground.apply(&shop(1))?;
        cluster.ground.apply(OBJECTS)?;
        for name in ["tidegate", "shop"] {
            let status = ["rollout", "status", "deployment", name, "--timeout=60s", "--namespace", name];
            cluster.ground.kubectl(&status)?;
        }
        let doors = Doors::of(&cluster.ground, "tidegate", "tidegate", &Arc::new(Authority::new()))?;
        let ready = until("both replicas are ready", SOON, || {
            let ready = doors.ready.borrow().clone();
            Ok((ready.len() == 2).then_some(ready))
        })?;
        let http = ready.iter().map(|door| door.http).collect();
        let https = ready.iter().map(|door| door.https).collect();
        let mut shop = Self { _doors: doors, cluster, http, https, pods: String::new() };
        shop.pods = shop.pods_now()?;
        until("both replicas redirect the shop and serve the other", SOON, || shop.is_undisturbed().map(Some))?;
        Ok(shop)
    }

    fn pods_now(&self) -> anyhow::Result<String> {
        let path =
            "--output=jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[0].restartCount};{end}";
        self.cluster.ground.kubectl(&["get", "pods", "--namespace=tidegate", path])
    }

    /// On each replica, which still is the one from the beginning: all of the shop is redirected but challenges, and
    /// the other host is served.
    fn is_undisturbed(&self) -> anyhow::Result<()> {
        for replica in &self.http {
            let asked = [(HOST, "/", 308), (HOST, "/.well-known/acme-challenges", 308), ("other.example", "/", 200)];
            for (host, path, expected) in asked {
                let (status, body) = self.cluster.get(&replica.to_string(), host, path)?;
                ensure!(status == expected, "{replica} {host}{path}: {status} {body}");
            }
        }
        let pods = self.pods_now()?;
        ensure!(pods == self.pods, "the replicas were {}, and are {pods}", self.pods);
        Ok(())
    }

    /// Makes a challenge known, and waits until every replica answers it; how long each took.
    fn present(
        &self,
        solver: &Solver<'_>,
        make: impl FnOnce() -> anyhow::Result<Instant>,
    ) -> anyhow::Result<Vec<Duration>> {
        let asked = self.http.iter().map(|replica| (replica.to_string(), solver.path(), solver.key.clone()));
        let asked: Vec<_> = asked.collect();
        // Threads are where the one that has started them is.
        let threads: Vec<_> = self.cluster.ground.enter(|| {
            let begin =
                |(replica, path, key): (String, String, String)| thread::spawn(move || answered(&replica, &path, &key));
            asked.into_iter().map(begin).collect()
        })?;
        let made = make()?;
        let answered = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        answered.map(|answered| Ok(answered?.saturating_duration_since(made))).collect()
    }

    /// Waits until no replica has the answer any more: who is behind the rest of the host gets the request.
    fn until_gone(&self, solver: &Solver<'_>) -> anyhow::Result<()> {
        until("the challenge is gone", SOON, || {
            for replica in &self.http {
                let (status, body) = self.cluster.get(&replica.to_string(), HOST, &solver.path())?;
                ensure!(status == 200 && body.contains("\"shop-"), "{replica}: {status} {body}");
            }
            Ok(Some(()))
        })
    }

    /// Writes the Secret as cert-manager does, and waits until every replica shows what is in it.
    fn install(&self, issued: &Issued, pebble: &Pebble<'_>) -> anyhow::Result<()> {
        self.cluster.ground.apply(&tls_secret(NAMESPACE, "shop", issued))?;
        until("the new certificate is served", SOON, || self.shows(issued, pebble).map(Some))
    }

    fn shows(&self, issued: &Issued, pebble: &Pebble<'_>) -> anyhow::Result<()> {
        let root = pebble.root()?;
        for replica in &self.https {
            let shown = self.cluster.ground.enter(|| trust::shown(&root, *replica, HOST))??;
            ensure!(shown == issued.der, "{replica} shows another certificate");
        }
        Ok(())
    }
}

/// When a replica has the answer to a challenge, which it never redirects.
fn answered(replica: &str, path: &str, key: &str) -> anyhow::Result<Instant> {
    let deadline = Instant::now() + SOON;
    loop {
        let (status, body) = get(replica, HOST, path)?;
        ensure!(!(300..400).contains(&status), "{replica} redirects {path}: {status}");
        if status == 200 && body == key {
            return Ok(Instant::now());
        }
        ensure!(Instant::now() < deadline, "{replica} answers {path} with {status} {body}");
    }
}

/// What pebble issues once it has seen the answer.
fn issue(account: &Account<'_>, order: &Order) -> anyhow::Result<Issued> {
    let authorization = account.validate(order)?;
    ensure!(authorization["status"] == "valid", "{authorization}");
    let issued = account.finalize(order)?;
    account.deactivate(order)?;
    Ok(issued)
}

/// A certificate by an Ingress of the challenge's own, made when the Pod is there; and how long that took.
fn by_ingress(
    shop: &Shop,
    pebble: &Pebble<'_>,
    account: &Account<'_>,
    shape: Shape,
) -> anyhow::Result<(Issued, String)> {
    let order = account.order(HOST)?;
    let solver = Solver::start(&shop.cluster.ground, &order, &order.key_authorization)?;
    solver.until_answered()?;
    let times = shop.present(&solver, || solver.ingress(shape))?;
    let told = format!("challenge by an Ingress of its own ({shape:?}), answered after {times:?}");
    shop.is_undisturbed()?;
    let issued = issue(account, &order)?;
    shop.install(&issued, pebble)?;
    solver.clean_up()?;
    shop.until_gone(&solver)?;
    shop.is_undisturbed()?;
    Ok((issued, told))
}

/// A certificate by a path in the Ingress of the host (`acme.cert-manager.io/http01-edit-in-place`). Nobody waits for
/// the Pod.
fn by_path(shop: &Shop, pebble: &Pebble<'_>, account: &Account<'_>) -> anyhow::Result<(Issued, String)> {
    let order = account.order(HOST)?;
    let solver = Solver::start(&shop.cluster.ground, &order, &order.key_authorization)?;
    let times = shop.present(&solver, || solver.edit("shop"))?;
    let told = format!("challenge by a path in the Ingress, with a Pod that has just been made: {times:?}");
    shop.is_undisturbed()?;
    let issued = issue(account, &order)?;
    shop.install(&issued, pebble)?;
    shop.cluster.ground.apply(OBJECTS)?;
    solver.clean_up()?;
    shop.until_gone(&solver)?;
    shop.is_undisturbed()?;
    Ok((issued, told))
}

/// An order whose challenge is answered with something else.
fn wrong_answer(shop: &Shop, account: &Account<'_>) -> anyhow::Result<()> {
    let order = account.order(HOST)?;
    let solver = Solver::start(&shop.cluster.ground, &order, &format!("{}.wrong", order.token))?;
    shop.present(&solver, || solver.ingress(Shape::Field))?;
    let authorization = account.validate(&order)?;
    let found = |pointer| authorization.pointer(pointer).and_then(serde_json::Value::as_str);
    let (status, error) = (found("/status"), found("/challenges/0/error/type"));
    let refused = (Some("invalid"), Some("urn:ietf:params:acme:error:unauthorized"));
    ensure!((status, error) == refused, "{authorization}");
    let state = account.state(&order)?;
    ensure!(state["status"] == "invalid", "{state}");
    solver.clean_up()?;
    shop.until_gone(&solver)?;
    shop.is_undisturbed()
}

#[test]
fn cert_manager_gets_certificates_by_http_01() -> anyhow::Result<()> {
    let shop = Shop::up()?;
    let pebble = Pebble::start(&shop.cluster.ground, shop.http[0])?;
    let told = play(&shop, &pebble).with_context(|| pebble.logs())?;
    println!("{}", told.join("\n"));
    Ok(())
}

fn play(shop: &Shop, pebble: &Pebble<'_>) -> anyhow::Result<[String; 3]> {
    let account = Account::register(pebble)?;
    let (first, by_field) = by_ingress(shop, pebble, &account, Shape::Field)?;
    pebble.resolves_to(shop.http[1])?;
    let (renewed, by_annotation) = by_ingress(shop, pebble, &account, Shape::Annotation)?;
    ensure!(renewed.der != first.der, "the same again");
    let (last, by_edit) = by_path(shop, pebble, &account)?;
    wrong_answer(shop, &account)?;
    shop.shows(&last, pebble)?;
    Ok([by_field, by_annotation, by_edit])
}
