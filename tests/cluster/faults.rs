//! The control plane dies, hangs, forgets and refuses: what is known is served on, and afterwards the state is that of a
//! process that is started anew.

mod compaction;
mod etcd;
mod token;

use crate::following::ECHO;
use crate::harness::{Cluster, SOON, Tidegate};
use crate::names::ask;
use crate::steady::under_load;
use anyhow::{Context as _, ensure};
use ground::{Ground, until};
use rustix::process::Signal;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const CONNECTED: &str = "tidegate_api_server_connected";
const FAULTS: &str = "tidegate_watch_faults_total";
const LEADING: &str = "tidegate_leading";
const STALENESS: &str = "tidegate_api_server_staleness_seconds";
/// Whatever it was, the next try is 5 s later at most; the rest is for a machine that has other things to do.
const AGAIN: Duration = Duration::from_secs(20);
/// An HTTP/2 connection without a sign of life is given up after 30 s, and then this goes on until a minute is over.
const HANGS: f64 = 32.0;

/// A cluster with an echo Deployment, and Tidegate, which serves it.
struct Served {
    tidegate: Tidegate,
    cluster: Cluster,
}

impl Served {
    fn up() -> anyhow::Result<Self> {
        let cluster = Cluster::up()?;
        let tidegate = cluster.tidegate(&[])?;
        Self { tidegate, cluster }.ready()
    }

    fn ready(self) -> anyhow::Result<Self> {
        self.cluster.until_ready(&self.tidegate)?;
        self.cluster.ground.apply(ECHO)?;
        self.cluster.ground.apply(&ingress("passing"))?;
        self.until_status("passing.example", 200)?;
        until("both Pods are ready", SOON, || {
            let status = self.cluster.ground.kubectl(&[
                "get",
                "deployment",
                "echo",
                "-o",
                "jsonpath={.status.readyReplicas}",
            ])?;
            Ok((status == "2").then_some(()))
        })?;
        Ok(self)
    }

    fn until_status(&self, host: &str, status: u16) -> anyhow::Result<()> {
        until(&format!("{host} is answered with {status}"), SOON, || {
            Ok((self.cluster.get("10.0.0.1:8080", host, "/")?.0 == status).then_some(()))
        })
    }

    /// Waits until the metrics say that the API server is away, and for more than `seconds`; names are answered still.
    fn until_stale(&self, seconds: f64) -> anyhow::Result<()> {
        until("the metrics say that the API server is away", 2 * SOON, || {
            let is_away = self.metric(CONNECTED)? == 0.0 && self.metric(STALENESS)? > seconds;
            Ok(is_away.then_some(()))
        })?;
        let answer = ask(&self.cluster.ground, "echo.default.svc", "A")?;
        ensure!(
            answer.code == "NOERROR" && answer.records.len() == 1,
            "a name while the API server is away: {answer:?}"
        );
        Ok(())
    }

    /// Waits until all is followed again, and says how long that took since the server was ready, or the token there.
    #[expect(clippy::print_stdout, reason = "a figure for whoever runs the tests")]
    fn until_connected(&self, what: &str) -> anyhow::Result<()> {
        let start = Instant::now();
        until(&format!("connected again after {what}"), AGAIN, || Ok((self.metric(CONNECTED)? == 1.0).then_some(())))?;
        let staleness = self.metric(STALENESS)?;
        ensure!(staleness == 0.0, "connected, but stale for {staleness} s");
        println!("{what}: connected again after {:.2} s", start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Takes a host away and adds one.
    fn change(&self) -> anyhow::Result<()> {
        self.cluster.ground.kubectl(&["delete", "ingress", "passing", "--wait=false"])?;
        self.cluster.ground.apply(&ingress("coming"))?;
        Ok(())
    }

    /// Waits until what [`Self::change`] did is served, and all else is as with a new process.
    fn until_changed(&self) -> anyhow::Result<()> {
        self.until_status("passing.example", 404)?;
        self.until_status("coming.example", 200)?;
        self.is_as_fresh()
    }

    /// Does `work` while requests come that all have to be answered.
    #[expect(clippy::print_stdout, reason = "a figure for whoever runs the tests")]
    fn under_load(&self, work: impl FnOnce(&Ground) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let ground = &self.cluster.ground;
        let requests = under_load(ground, "echo.example", || work(ground))?;
        println!("{requests} requests, none failed");
        Ok(())
    }

    fn metric(&self, name: &str) -> anyhow::Result<f64> {
        self.cluster.metric(&self.tidegate, name)
    }

    /// A counter by its kind.
    fn by_kind(&self, name: &str) -> anyhow::Result<BTreeMap<String, u64>> {
        let metrics = self.cluster.admin(&self.tidegate, "/metrics")?;
        let lines =
            metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix("{kind=\"")?.split_once("\"} "));
        lines.map(|(kind, count)| Ok((kind.to_owned(), count.parse()?))).collect()
    }

    /// Compares the state that is served with that of a process that is started now.
    fn is_as_fresh(&self) -> anyhow::Result<()> {
        let fresh = self.cluster.fresh_tidegate(&[])?;
        self.cluster.until_ready(&fresh)?;
        let routes = |tidegate| self.cluster.admin(tidegate, "/routes?output=json");
        let (mut lived, mut anew) = (String::new(), String::new());
        let same = until("the state is that of a new process", SOON, || {
            (lived, anew) = (routes(&self.tidegate)?, routes(&fresh)?);
            Ok((lived == anew).then_some(()))
        });
        same.with_context(|| format!("this one lived through it: {lived}\nthis one is new: {anew}"))?;
        ensure!(self.tidegate.process.status().is_none(), "Tidegate has ended");
        ensure!(lived.contains("echo.example"), "no route at all is the same too: {lived}");
        Ok(())
    }
}

/// Another host for the echo Service.
fn ingress(name: &str) -> String {
    let path =
        json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "echo", "port": {"number": 80}}}});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": {
        "ingressClassName": "tidegate",
        "rules": [{"host": format!("{name}.example"), "http": {"paths": [path]}}],
    }})
    .to_string()
}

#[test]
fn the_api_server_is_killed_and_started() -> anyhow::Result<()> {
    let served = Served::up()?;
    served.under_load(|ground| {
        ground.api_server().kill();
        served.until_stale(0.0)?;
        ground.api_server().start()?;
        // Most likely before the watches are there again.
        served.change()?;
        served.until_connected("SIGKILL of the API server")?;
        served.until_changed()
    })
}

#[test]
fn etcd_is_killed_and_started() -> anyhow::Result<()> {
    let served = Served::up()?;
    served.under_load(|ground| {
        until("it leads", SOON, || Ok((served.metric(LEADING)? == 1.0).then_some(())))?;
        ground.etcd().kill();
        until("the API server is not ready", SOON, || {
            Ok(ground.kubectl(&["get", "--raw", "/readyz", "--request-timeout=2s"]).is_err().then_some(()))
        })?;
        ensure!(ask(ground, "echo.default.svc", "A")?.code == "NOERROR");
        // The API server keeps its watches open. That nothing can be written is what tells of it.
        until("it does not lead any more", SOON, || Ok((served.metric(LEADING)? == 0.0).then_some(())))?;
        ground.etcd().start()?;
        ground.api_server().wait_ready()?;
        served.until_connected("SIGKILL of etcd")?;
        until("it leads again", SOON, || Ok((served.metric(LEADING)? == 1.0).then_some(())))?;
        served.change()?;
        served.until_changed()
    })
}

#[test]
fn the_api_server_hangs_for_a_minute() -> anyhow::Result<()> {
    let served = Served::up()?;
    served.under_load(|ground| {
        let start = Instant::now();
        ground.api_server().pause();
        let stale = served.until_stale(HANGS);
        ground.api_server().resume();
        stale?;
        println!("the API server hung for {:.0} s", start.elapsed().as_secs_f64());
        ground.api_server().wait_ready()?;
        served.change()?;
        served.until_connected("SIGSTOP of the API server")?;
        served.until_changed()
    })
}

#[test]
fn a_stop_does_not_wait_for_an_api_server_that_hangs() -> anyhow::Result<()> {
    // The Lease cannot be given up within 2 s, and everything else ends at once.
    const END: Duration = Duration::from_secs(4);
    let cluster = Cluster::up()?;
    let mut tidegate = cluster.tidegate(&["--publish-address", "192.0.2.1", "--drain-delay", "0s"])?;
    cluster.until_ready(&tidegate)?;
    until("it leads", SOON, || {
        Ok(cluster.admin(&tidegate, "/metrics")?.contains("\ntidegate_leading 1").then_some(()))
    })?;
    cluster.ground.api_server().pause();
    let start = Instant::now();
    tidegate.process.signal(Signal::TERM);
    let ended = tidegate.process.wait();
    let took = start.elapsed();
    cluster.ground.api_server().resume();
    let ended = ended?;
    println!("ended {:.1} s after SIGTERM, with {ended}", took.as_secs_f64());
    ensure!(ended.success() && took < END, "it took {took:?}");
    Ok(())
}

#[test]
fn what_was_removed_and_compacted_meanwhile_is_gone() -> anyhow::Result<()> {
    let served = Served::up()?;
    served.under_load(|ground| {
        ground.api_server().kill();
        served.until_stale(0.0)?;
        // Nobody is told of this: neither is there an event of it in any cache, nor in the store.
        etcd::delete(ground, "/registry/ingress/default/passing")?;
        etcd::compact(ground)?;
        ground.api_server().start()?;
        served.until_connected("compaction")?;
        served.until_status("passing.example", 404)?;
        served.is_as_fresh()
    })
}

#[test]
fn a_start_without_an_api_server_waits_for_it() -> anyhow::Result<()> {
    let cluster = Cluster::up()?;
    let ground = &cluster.ground;
    ground.apply(ECHO)?;
    ground.api_server().kill();
    let tidegate = cluster.tidegate(&[])?;
    let waits = until("/readyz says what is waited for", SOON, || {
        let (status, text) = cluster.get("127.0.0.1:9901", "localhost", "/readyz")?;
        ensure!(status == 503, "{status} {text}");
        Ok(text.contains("refused").then_some(text))
    })?;
    for part in ["https://10.0.0.1:6443", "Ingress", "IngressClass", "Service", "EndpointSlice", "Namespace"] {
        ensure!(waits.contains(part), "{part} is not in {waits}");
    }
    ensure!(ask(ground, "echo.default.svc", "A")?.code == "SERVFAIL");
    ensure!(ask(ground, "nothing.default.svc", "A")?.code == "SERVFAIL");
    ground.api_server().start()?;
    cluster.until_ready(&tidegate)?;
    ensure!(ask(ground, "echo.default.svc", "A")?.code == "NOERROR");
    ensure!(ask(ground, "nothing.default.svc", "A")?.code == "NXDOMAIN");
    until("requests are counted by what they came to", SOON, || {
        let metrics = cluster.admin(&tidegate, "/metrics")?;
        let counted = |sample: &str| metrics.contains(&format!("\ncoredns_kubernetes_rest_client_{sample}"));
        let outcomes = ["200", "<error>"]
            .map(|code| counted(&format!("requests_total{{code=\"{code}\",host=\"10.0.0.1:6443\",method=\"GET\"}} ")));
        let took = counted("request_duration_seconds_count{host=\"10.0.0.1:6443\",verb=\"GET\"} ");
        Ok((outcomes == [true; 2] && took).then_some(()))
    })?;
    until("the Deployment is served", SOON, || {
        Ok((cluster.get("10.0.0.1:8080", "echo.example", "/")?.0 == 200).then_some(()))
    })
}
