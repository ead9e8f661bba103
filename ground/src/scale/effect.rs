//! From a write to the first answer that shows it, each write waited for by a client that asks all the time.

use super::backend::{PORT, address};
use super::client::Client;
use super::objects::{self, INGRESSES, MEASURED, SLICES};
use crate::measure::objects::slice;
use crate::measure::{Effects, Writer};
use anyhow::ensure;
use std::time::{Duration, Instant};

/// Between two writes, so that each comes alone.
const APART: Duration = Duration::from_millis(20);
/// Where the numbers of the addresses start.
const FIRST: u32 = 60_000;

/// Moves a Service to another endpoint, `count` times.
///
/// # Errors
/// Where a write is refused, has no effect, or a request on the way does not succeed.
pub(super) async fn of_endpoints(writer: &Writer, mut client: Client, count: u32) -> anyhow::Result<Effects> {
    let mut effects = Effects::default();
    for number in FIRST..FIRST + count {
        let address = address(number);
        let object = slice(MEASURED, PORT, std::slice::from_ref(&address));
        let write = writer.replace(SLICES, &object);
        let is_there = move |status, body: &str| {
            ensure!(status == 200, "status {status} while the endpoint changes to {address}");
            Ok(body == address)
        };
        tokio::time::sleep(APART).await;
        (client, _) = effects.add(write, ask(client, "measured.example".to_owned(), is_there)).await?;
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
        tokio::time::sleep(APART).await;
        (client, _) = effects.add(write, ask(client, host, is_there)).await?;
    }
    Ok(effects)
}

/// Asks `host` until `is_there` agrees to an answer.
fn ask(
    mut client: Client,
    host: String,
    is_there: impl Fn(u16, &str) -> anyhow::Result<bool> + Send + 'static,
) -> impl FnOnce() -> anyhow::Result<(Client, Instant)> + Send + 'static {
    move || {
        let seen = client.ask_until(&host, is_there)?;
        Ok((client, seen))
    }
}
