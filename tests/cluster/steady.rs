//! A slow stream of requests that never pauses: each of them is answered, whatever happens to the cluster meanwhile.

use crate::harness;
use anyhow::ensure;
use ground::Ground;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// 100 requests a second.
const PERIOD: Duration = Duration::from_millis(10);
/// Of what failed, in an error.
const SHOWN: usize = 5;

#[derive(Debug, Default)]
struct Tally {
    sent: usize,
    failed: Vec<String>,
}

/// Runs `work` while `host` is asked for; the number of requests, of which none failed.
///
/// # Errors
/// Those of `work`, and when a request was not answered with 200.
pub(crate) fn under_load(
    ground: &Ground,
    host: &str,
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let is_over = AtomicBool::new(false);
    let tally = thread::scope(|scope| {
        let sender = scope.spawn(|| ground.enter(|| send(host, &is_over)));
        let worked = work();
        is_over.store(true, Ordering::Relaxed);
        let tally = sender.join().map_err(|_| anyhow::anyhow!("the sender of requests panicked"))??;
        worked.map(|()| tally).map_err(|error| error.context("under load"))
    })?;
    let Tally { sent, failed } = tally;
    ensure!(sent > 0, "no request was sent");
    let shown = &failed[..failed.len().min(SHOWN)];
    ensure!(failed.is_empty(), "{} of {sent} requests failed: {shown:#?}", failed.len());
    Ok(sent)
}

fn send(host: &str, is_over: &AtomicBool) -> Tally {
    let (mut tally, start) = (Tally::default(), Instant::now());
    let mut due = start;
    while !is_over.load(Ordering::Relaxed) {
        tally.sent += 1;
        let failure = match harness::get("10.0.0.1:8080", host, "/") {
            Ok((200, _)) => None,
            Ok((status, body)) => Some(format!("{status} {body}")),
            Err(error) => Some(format!("{error:#}")),
        };
        tally.failed.extend(failure.map(|failure| format!("{:?}: {failure}", start.elapsed())));
        // Behind its time it does not catch up: what is counted is who fails, not how many there are.
        due = (due + PERIOD).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    tally
}
