//! From a write to the first answer that shows it, each write waited for by a client that asks all the time.

use super::backend::address;
use super::client::Client;
use super::objects::{self, INGRESSES, MEASURED, SLICES};
use super::writer::Writer;
use anyhow::{Context as _, ensure};
use std::time::{Duration, Instant};

/// Between two writes, so that each comes alone.
const APART: Duration = Duration::from_millis(20);
/// Where the numbers of the addresses start.
const FIRST: u32 = 60_000;

/// Milliseconds, a value a write.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// From before the write.
    pub(super) from_write: Vec<f64>,
    /// From the API server's answer to the writer; zero where the effect was there before it.
    pub(super) from_answer: Vec<f64>,
}

/// Moves a Service to another endpoint, `count` times.
///
/// # Errors
/// Where a write is refused, has no effect, or a request on the way does not succeed.
pub(super) async fn of_endpoints(writer: &Writer, mut client: Client, count: u32) -> anyhow::Result<Effects> {
    let path = format!("{SLICES}/{MEASURED}");
    let mut effects = Effects::default();
    for number in FIRST..FIRST + count {
        let address = address(number);
        let patch = objects::endpoints(std::slice::from_ref(&address));
        let write = writer.merge(&path, &patch);
        let is_there = move |status, body: &str| {
            ensure!(status == 200, "status {status} while the endpoint changes to {address}");
            Ok(body == address)
        };
        client = effects.add(write, client, "measured.example".to_owned(), is_there).await?;
    }
    Ok(effects)
}

/// Creates `count` Ingresses, one after the other.
///
/// # Errors
/// Where a write is refused or has no effect.
pub(super) async fn of_ingresses(writer: &Writer, mut client: Client, count: u32) -> anyhow::Result<Effects> {
    let mut effects = Effects::default();
    for number in 0..count {
        let (name, host) = (format!("new-{number}"), format!("new-{number}.example"));
        let object = objects::ingress(&name, &host, MEASURED, None);
        let (status, _) = client.ask(&host, "/")?;
        ensure!(status == 404, "{host} answers {status} before it is there");
        let write = writer.create(INGRESSES, &object);
        let is_there = move |status, _: &str| {
            ensure!(status == 200 || status == 404, "status {status} while the Ingress comes");
            Ok(status == 200)
        };
        client = effects.add(write, client, host, is_there).await?;
    }
    Ok(effects)
}

impl Effects {
    /// Writes while `client` asks on a thread of its own.
    async fn add(
        &mut self,
        write: impl Future<Output = anyhow::Result<()>>,
        mut client: Client,
        host: String,
        is_there: impl Fn(u16, &str) -> anyhow::Result<bool> + Send + 'static,
    ) -> anyhow::Result<Client> {
        tokio::time::sleep(APART).await;
        let asked = tokio::task::spawn_blocking(move || {
            let seen = client.ask_until(&host, is_there)?;
            anyhow::Ok((client, seen))
        });
        let start = Instant::now();
        write.await?;
        let answer = Instant::now();
        let (client, seen) = asked.await.context("the client panicked")??;
        let milliseconds = |since: Instant| seen.saturating_duration_since(since).as_secs_f64() * 1e3;
        self.from_write.push(milliseconds(start));
        self.from_answer.push(milliseconds(answer));
        Ok(client)
    }
}
