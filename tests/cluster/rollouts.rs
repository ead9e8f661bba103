//! Pods come and go under load, each gone at the moment it is told to end, and nobody notices.

use crate::authority::Authority;
use crate::client::Door;
use crate::harness::{Cluster, SOON, Tidegate, tls_secret};
use crate::load::{Load, runtime_in};
use crate::websockets::WebSockets;
use ground::until;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// To Pods over HTTP/1.1, and over HTTP/2.
const HOSTS: [&str; 2] = ["shop.example", "h2c.example"];
const ROLLOUTS: usize = 20;
/// Answers that are waited for after each change.
const ANSWERS: u64 = 100;

/// Everybody is behind `everybody`, which the WebSockets go to; those who come and go alone are behind `shop`.
const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: everybody}
spec: {selector: {app: shop}, ports: [{name: http, port: 80, targetPort: 3000}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop, set: restless}
  ports:
  - {name: http, port: 80, targetPort: 3000}
  - {name: h2c, port: 81, targetPort: 3001, appProtocol: kubernetes.io/h2c}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, annotations: {tidegate.dev/ssl-redirect: 'false'}}
spec:
  ingressClassName: tidegate
  tls: [{hosts: [shop.example], secretName: shop.example}, {hosts: [h2c.example], secretName: h2c.example}]
  rules:
  - host: shop.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}
      - {path: /ws, pathType: Exact, backend: {service: {name: everybody, port: {name: http}}}}
  - host: h2c.example
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: h2c}}}}]}
";

/// A Deployment whose Pods exit at SIGTERM at once with all that they have open. As process 1 of its Pod the server
/// itself would not hear the signal, and be killed after the grace period only.
fn deployment(name: &str, replicas: usize) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: shop, set: {name}}}}}
  template:
    metadata: {{labels: {{app: shop, set: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 60
      containers:
      - name: echo
        image: echo-basic
        command: [sh, -c, 'trap "exit 0" TERM; /usr/local/bin/echo-basic & wait']
        env: [{{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
        readinessProbe: {{httpGet: {{path: /health, port: 3000}}, periodSeconds: 1}}
"#
    )
}

struct Shop {
    cluster: Cluster,
    tidegate: Tidegate,
    runtime: Runtime,
    door: Door,
}

impl Shop {
    /// Tidegate, and behind it two Pods that stay.
    fn up() -> anyhow::Result<Self> {
        let cluster = Cluster::up()?;
        let tidegate = cluster.tidegate(&[])?;
        let authority = Arc::new(Authority::new());
        for host in HOSTS {
            cluster.ground.apply(&tls_secret("default", host, &authority.issue(host)))?;
        }
        cluster.ground.apply(SERVICES)?;
        cluster.ground.apply(&deployment("steady", 2))?;
        cluster.until_ready(&tidegate)?;
        let runtime = runtime_in(&cluster.ground)?;
        let door = Door { http: "10.0.0.1:8080".parse()?, https: "10.0.0.1:8443".parse()?, authority };
        let shop = Self { cluster, tidegate, runtime, door };
        shop.until_served("steady", (HOSTS[0], "/ws"))?;
        Ok(shop)
    }

    /// Waits until all of a Deployment's Pods are ready and a path leads to one.
    fn until_served(&self, name: &str, (host, path): (&str, &str)) -> anyhow::Result<()> {
        self.rollout(&["status", "deployment", name])?;
        until("the Deployment is served", SOON, || {
            // What is no WebSocket is refused by a Pod, where there is one.
            let status = self.cluster.get("10.0.0.1:8080", host, path)?.0;
            Ok([200, 400].contains(&status).then_some(()))
        })
    }

    fn rollout(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let arguments = [&["rollout"], arguments, &["--timeout=60s"]].concat();
        self.cluster.ground.kubectl(&arguments).map(drop)
    }

    /// Half of the rollouts are of a single Pod, whose successor is all that there is once it has gone.
    fn roll_out_and_scale(&self, loads: &[Load]) -> anyhow::Result<()> {
        self.roll_out(loads)?;
        self.scale(3, loads)?;
        self.roll_out(loads)?;
        [1, 10, 1].into_iter().try_for_each(|replicas| self.scale(replicas, loads))
    }

    fn roll_out(&self, loads: &[Load]) -> anyhow::Result<()> {
        for _ in 0..ROLLOUTS / 2 {
            until("kubectl restarts, which it does once a second at most", SOON, || {
                self.cluster.ground.kubectl(&["rollout", "restart", "deployment", "restless"]).map(Some)
            })?;
            self.rollout(&["status", "deployment", "restless"])?;
            self.passes(loads);
        }
        Ok(())
    }

    fn scale(&self, replicas: usize, loads: &[Load]) -> anyhow::Result<()> {
        self.cluster.ground.kubectl(&["scale", "deployment", "restless", &format!("--replicas={replicas}")])?;
        self.rollout(&["status", "deployment", "restless"])?;
        self.only(replicas)?;
        self.passes(loads);
        Ok(())
    }

    fn passes(&self, loads: &[Load]) {
        loads.iter().for_each(|load| self.runtime.block_on(load.passes(ANSWERS)));
    }

    /// Waits until there are so many Pods of those who come and go: long before their grace period is over.
    fn only(&self, count: usize) -> anyhow::Result<()> {
        until("Pods that were told to end have ended", SOON / 4, || {
            let pods = self.cluster.ground.kubectl(&["get", "pods", "--selector=set=restless", "--output=name"])?;
            Ok((pods.lines().count() == count).then_some(()))
        })
    }

    /// What Tidegate says of requests and attempts that failed.
    fn reasons(&self) -> anyhow::Result<String> {
        let metrics = self.cluster.admin(&self.tidegate, "/metrics")?;
        let is_failure =
            |line: &&str| line.contains("reason=\"") && !line.contains("reason=\"\"") && !line.ends_with(" 0");
        Ok(metrics.lines().filter(is_failure).collect::<Vec<_>>().join("\n"))
    }

    /// Runs on the threads that have their sockets inside.
    fn inside<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.runtime.block_on(self.runtime.spawn(work)).expect("no panic")
    }
}

#[test]
fn rollouts_and_scaling_lose_no_request_and_close_no_websocket() -> anyhow::Result<()> {
    let shop = Shop::up()?;
    let door = shop.door.clone();
    let websockets =
        shop.inside(async move { [WebSockets::open(&door, HOSTS[0]).await, WebSockets::open(&door, HOSTS[0]).await] });
    shop.cluster.ground.apply(&deployment("restless", 1))?;
    for host in HOSTS {
        shop.until_served("restless", (host, "/"))?;
    }
    let (_doors, doors) = watch::channel(vec![shop.door.clone()]);
    let loads = HOSTS.map(|host| Load::start(&shop.runtime, &doors, host));
    let done = shop.roll_out_and_scale(&loads);
    let reports = loads.map(|load| shop.runtime.block_on(load.finish()));
    let told = format!("{}\n{}\nfailures:\n{}", reports[0], reports[1], shop.reasons()?);
    println!("{told}");
    done?;
    let [over_h1, over_h2] = reports;
    assert!(over_h1.failures.is_empty(), "{told}");
    // Over HTTP/2 an answer is two frames. A Pod that ends between them has begun to answer, and nobody can take that back;
    // one in some 60,000 is cut so. None is refused.
    assert!(over_h2.failures.iter().all(|failure| failure.contains("Failed(")), "{told}");
    // How many there are a second is for the machine to say: after each change there were enough of each.
    assert!([over_h1, over_h2].iter().all(|report| report.ended == 0), "{told}");
    for fifty in websockets {
        let (open, echoes, closed) = shop.inside(fifty.finish());
        println!("{open} WebSockets stayed open and echoed {echoes} messages; closed: {closed:?}");
        assert!(open == 50 && closed.is_empty(), "{closed:?}");
    }
    Ok(())
}
