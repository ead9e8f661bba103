//! Waiting for a condition: asked again each 50 ms until it holds, within a limit.

use anyhow::bail;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// Asks `claim` until it gives a value. An error of `claim` counts as "not yet".
///
/// # Errors
/// After `within`, with `what` was waited for and the last error of `claim`.
pub fn until<T>(
    what: &str,
    within: Duration,
    mut claim: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let answer = claim();
        match answer {
            Ok(Some(value)) => return Ok(value),
            answer if Instant::now() > deadline => return Err(late(what, within, answer.err())),
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// [`until`] for claims that wait themselves.
///
/// # Errors
/// As [`until`].
pub async fn until_async<T>(
    what: &str,
    within: Duration,
    mut claim: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + within;
    loop {
        let answer = tokio::time::timeout_at(deadline.into(), claim()).await;
        match answer {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(answer) if Instant::now() > deadline => return Err(late(what, within, answer.err())),
            Err(_) => bail!("{what}: not within {} s; the last question had no answer", within.as_secs_f64()),
            Ok(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn late(what: &str, within: Duration, error: Option<anyhow::Error>) -> anyhow::Error {
    let message = format!("{what}: not within {} s", within.as_secs_f64());
    match error {
        Some(error) => error.context(message),
        None => anyhow::anyhow!(message),
    }
}
