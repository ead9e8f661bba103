//! Exchanges by chance: peers that send in pieces, pause, stall and leave, over every pair of versions. Whatever they do,
//! a message that was cut never looks whole, and nothing waits longer than the nearest clock. Case 153.

mod h1;
mod h2;
mod script;

use crate::harness::{Running, Setup};
use config::{BackendProtocol, RulePolicy};
use script::{ClientScript, UpstreamScript};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tidegate_proxy::Limits;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Each clock of the proxy; longer than any pause that is none of a script's.
const CLOCK: Duration = Duration::from_secs(3);
/// Longer than a clock.
const HOLD: Duration = Duration::from_secs(4);
/// Longer than a client can take with its exchanges, of which the last one only may meet a clock.
const HANGING: Duration = Duration::from_secs(20);
/// How long exchanges are begun.
const TIME: Duration = Duration::from_secs(6);
const AT_ONCE: usize = 24;

/// How a message ended for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Cut,
    /// The reader did not want more.
    Stopped,
}

/// What a client got.
#[derive(Debug, Default)]
struct Answer {
    status: Option<u16>,
    /// Whether the upstream made it.
    is_the_upstreams: bool,
    closes: bool,
    is_until_close: bool,
    body: Vec<u8>,
    end: Option<End>,
    /// Whether the end of the upload may have been sent.
    upload_ended: bool,
}

/// What an upstream saw of one attempt.
#[derive(Debug, Clone, Default)]
struct Attempt {
    upload: Vec<u8>,
    end: Option<End>,
}

/// All attempts, by the seed of their exchange.
#[derive(Debug, Default)]
struct Attempts(Mutex<HashMap<u64, Vec<Option<Attempt>>>>);

impl Attempts {
    /// The number of a new one.
    fn begin(&self, seed: u64) -> usize {
        let mut all = self.0.lock().expect("no panic");
        let attempts = all.entry(seed).or_default();
        attempts.push(None);
        attempts.len() - 1
    }

    fn end(&self, seed: u64, number: usize, attempt: Attempt) {
        let mut all = self.0.lock().expect("no panic");
        all.get_mut(&seed).expect("it began")[number] = Some(attempt);
    }

    /// The scripts of those that were begun.
    fn scripts(&self, seed: u64) -> Vec<UpstreamScript> {
        let begun = self.0.lock().expect("no panic").get(&seed).map_or(0, Vec::len);
        (0..begun).map(|number| UpstreamScript::of(seed, number)).collect()
    }

    fn have_ended(&self) -> bool {
        self.0.lock().expect("no panic").values().flatten().all(Option::is_some)
    }
}

/// A proxy and the upstream behind it.
struct Stage {
    proxy: Running,
    attempts: Arc<Attempts>,
    upstream: tokio::task::JoinHandle<()>,
}

impl Stage {
    async fn start(protocol: BackendProtocol, change: impl FnOnce(&mut Setup)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let mut setup = Setup::to(&[listener.local_addr().expect("bound")]).speaking(protocol).limits(clocks);
        change(&mut setup);
        let attempts = Arc::<Attempts>::default();
        let upstream = match protocol {
            BackendProtocol::H2c => tokio::spawn(h2::upstream(listener, Arc::clone(&attempts))),
            _ => tokio::spawn(h1::upstream(listener, Arc::clone(&attempts))),
        };
        Self { proxy: setup.start().await, attempts, upstream }
    }
}

fn clocks(limits: &mut Limits) {
    for clock in [
        &mut limits.idle,
        &mut limits.body_idle,
        &mut limits.upstream_head,
        &mut limits.upstream_idle,
        &mut limits.write,
        &mut limits.linger_idle,
        &mut limits.linger_total,
    ] {
        *clock = CLOCK;
    }
    limits.drained_upload_time = CLOCK / 10;
    limits.late_answer = CLOCK / 10;
    limits.retry_pause = Duration::from_millis(2);
}

/// One exchange from the client's side.
type Met = (ClientScript, Answer);

/// One client with some exchanges.
async fn meet(stage: &Stage, first_seed: u64) -> Result<Vec<Met>, String> {
    let version = ["1.0", "1.1", "1.1", "2"][(first_seed / 3 % 4) as usize];
    let scripts: Vec<_> = (first_seed..first_seed + 3).map(|seed| ClientScript::of(seed, version)).collect();
    let meeting = async {
        match version {
            "2" => h2::client(&stage.proxy, &scripts).await,
            version => h1::client(stage.proxy.http, version, &scripts).await,
        }
    };
    let met = timeout(HANGING, meeting).await;
    met.map_err(|_| {
        let upstreams: Vec<_> = scripts.iter().map(|script| stage.attempts.scripts(script.seed)).collect();
        format!("{first_seed}: it hangs: {scripts:?} and {upstreams:?}")
    })
}

/// What is wrong with an answer.
fn fault_of_answer(stage: &Stage, (client, answer): &Met) -> Option<&'static str> {
    let upstreams = stage.attempts.scripts(client.seed);
    let is_whole = answer.end == Some(End::Whole);
    if let Some(upstream) = upstreams.last().filter(|_| answer.is_the_upstreams) {
        let body = upstream.body_for(client.method);
        if answer.status != Some(upstream.status) {
            return Some("another status than the upstream sent");
        }
        if !body.starts_with(&answer.body) {
            return Some("other bytes than the upstream sent");
        }
        if is_whole && answer.body.len() < body.len() {
            return Some("a cut answer looks whole");
        }
    } else if answer.end == Some(End::Cut) && !client.is_faulty() {
        return Some("an answer of the proxy's own is cut");
    }
    let is_faulty = client.is_faulty() || upstreams.iter().any(UpstreamScript::is_faulty);
    let is_fine = answer.is_the_upstreams && is_whole;
    (!is_faulty && !is_fine).then_some("nobody did wrong, but the answer is not whole")
}

/// What is wrong with an upload as an upstream saw it.
fn fault_of_upload((client, answer): &Met, seen: &Attempt) -> Option<&'static str> {
    let sent = client.upload.as_ref().map(script::Sending::bytes).unwrap_or_default();
    if !sent.starts_with(&seen.upload) {
        return Some("other bytes than the client sent");
    }
    let looks_whole = seen.end == Some(End::Whole);
    let is_cut = !answer.upload_ended || seen.upload.len() < sent.len();
    (looks_whole && is_cut).then_some("a cut upload looks whole")
}

fn tell(stage: &Stage, fault: &str, (client, answer): &Met) -> String {
    let (len, end, upstreams) = (answer.body.len(), answer.end, stage.attempts.scripts(client.seed));
    format!("{}: {fault}: {:?}, {len} bytes, {end:?}, of {client:?} and {upstreams:?}", client.seed, answer.status)
}

#[tokio::test]
async fn case_153_whatever_peers_do_a_cut_message_never_looks_whole_and_nothing_hangs() {
    // Half of all answers are tried for again.
    let policy = Arc::new(RulePolicy {
        attempt: Some(CLOCK),
        attempts: Some(3),
        retry_on: [204, 404, 500].into_iter().collect(),
        ..RulePolicy::default()
    });
    let small = |setup: &mut Setup| {
        (setup.limits.read, setup.limits.output, setup.limits.read_ahead) = (113, 2000, 7);
    };
    let retrying = |setup: &mut Setup| setup.policy = Some(Arc::clone(&policy));
    let stages = Arc::new([
        Stage::start(BackendProtocol::Http1, |_| {}).await,
        Stage::start(BackendProtocol::H2c, |_| {}).await,
        Stage::start(BackendProtocol::Http1, small).await,
        Stage::start(BackendProtocol::H2c, small).await,
        Stage::start(BackendProtocol::Http1, retrying).await,
        Stage::start(BackendProtocol::H2c, retrying).await,
    ]);
    let (seeds, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (stages, seeds) = (Arc::clone(&stages), Arc::clone(&seeds));
        clients.spawn(async move {
            let (mut all, mut faults) = (Vec::new(), Vec::new());
            while begun.elapsed() < TIME && faults.is_empty() {
                let seed = seeds.fetch_add(3, Relaxed);
                let number = (seed / 12 % 6) as usize;
                let stage = &stages[number];
                match meet(stage, seed).await {
                    Err(hangs) => faults.push(hangs),
                    Ok(met) => {
                        let found = met.iter().filter_map(|met| Some(tell(stage, fault_of_answer(stage, met)?, met)));
                        faults.extend(found);
                        all.extend(met.into_iter().map(|met| (number, met)));
                    }
                }
            }
            (all, faults)
        });
    }
    let (all, faults): (Vec<_>, Vec<_>) = clients.join_all().await.into_iter().unzip();
    let mut faults = faults.concat();
    let all: Vec<_> = all.into_iter().flatten().collect();

    let waiting = Instant::now();
    while !stages.iter().all(|stage| stage.attempts.have_ended()) {
        assert!(waiting.elapsed() < HANGING, "an attempt hangs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (number, met) in &all {
        let stage = &stages[*number];
        let seen = stage.attempts.0.lock().expect("no panic").get(&met.0.seed).cloned().unwrap_or_default();
        let found = seen.iter().flatten().filter_map(|seen| fault_of_upload(met, seen));
        faults.extend(found.map(|fault| tell(stage, fault, met)));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(all.len() > 300, "only {} exchanges", all.len());
    assert!(stages.iter().all(|stage| !stage.upstream.is_finished()), "an upstream panicked");
}
