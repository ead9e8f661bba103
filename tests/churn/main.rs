//! The whole program under load, as a process of its own: changes of its files, its end, overload, and a power cut.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod authority;
mod backend;
mod client;
mod load;
mod manifests;
mod peer;
mod program;
mod speech;
mod tally;
mod websockets;

mod changes;
mod overload;
mod restart;
mod stop;

use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{interval, timeout};

/// Longer than anything takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// Held by who makes a load, so that loads do not slow each other.
static LOAD: Mutex<()> = Mutex::const_new(());

/// Asks until it is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let mut ticks = interval(Duration::from_millis(5));
    let asked = async {
        while !is_so().await {
            ticks.tick().await;
        }
    };
    assert!(timeout(PATIENCE, asked).await.is_ok(), "never: {what}");
}
