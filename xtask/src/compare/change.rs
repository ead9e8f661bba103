//! From a changed endpoints file to the answer of the new backend, with 5,000 Ingresses loaded.

use super::ground::Ground;
use super::report::{Bar, median, table};
use super::{Outcome, PROXY_CORE};
use crate::http::Client;
use crate::{backend, manifests, tidegate};
use anyhow::{Context as _, ensure};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

const INGRESSES: u32 = 5_000;
/// Ingresses a file, each with its Service and EndpointSlice.
const FILE: u32 = 100;
const CHANGES: u32 = 20;
/// Between two questions, so that the client does not take the core from the translation.
const PAUSE: Duration = Duration::from_micros(500);
/// Between two changes whose CPU time is measured.
const APART: Duration = Duration::from_millis(100);
const HOST: &str = "changing.example";
const TEXTS: [&str; 2] = ["first", "second"];

/// Measures changes that a client waits for, then the CPU time of changes that nobody asks about.
pub(super) fn measure(ground: &Ground) -> anyhow::Result<Outcome> {
    println!("\nan endpoint changes, {INGRESSES} Ingresses loaded, {CHANGES} times");
    let backends = [backend::start(TEXTS[0])?, backend::start(TEXTS[1])?];
    let folder = ground.folder().join("change");
    fs::create_dir_all(&folder)?;
    for first in (0..INGRESSES).step_by(FILE as usize) {
        let objects: String =
            (first..first + FILE).map(|number| shop(&format!("shop-{number}"), ground.backend)).collect();
        fs::write(folder.join(format!("shops-{first:05}.yaml")), objects)?;
    }
    fs::write(folder.join("changing.yaml"), ingress_and_service("changing"))?;
    let endpoints = Endpoints { file: folder.join("endpoints.yaml"), draft: ground.folder().join("endpoints.draft") };
    endpoints.write(backends[0])?;
    let start = Instant::now();
    let mut tidegate = tidegate::start(&ground.program, &folder, Some(PROXY_CORE))?;
    let ready = start.elapsed();
    let mut client = Client::connect(tidegate.http, HOST)?;
    let mut effects = Vec::new();
    let mut failed = 0;
    for (backend, text) in backends.into_iter().zip(TEXTS).rev().cycle().take(CHANGES as usize) {
        let (effect, wrong) = endpoints.change(backend, &mut client, text)?;
        effects.push(effect.as_secs_f64() * 1e3);
        failed += wrong;
    }
    let before = tidegate.running.usage()?;
    for backend in backends.iter().rev().cycle().take(CHANGES as usize) {
        endpoints.write(*backend)?;
        thread::sleep(APART);
    }
    let after = tidegate.running.usage()?;
    let median = median(effects.iter().copied());
    let worst = effects.iter().copied().fold(0.0, f64::max);
    let figure = |name: &str, value: f64, unit: &str| vec![name.to_owned(), format!("{value:.2} {unit}")];
    print!(
        "{}",
        table(&[
            figure("start to ready", ready.as_secs_f64() * 1e3, "ms"),
            figure("change to effect, median", median.unwrap_or(f64::NAN), "ms"),
            figure("change to effect, worst", worst, "ms"),
            figure("CPU a change", (after.cpu - before.cpu).as_secs_f64() * 1e3 / f64::from(CHANGES), "ms"),
            figure("resident", after.resident as f64 / f64::from(1 << 20), "MiB"),
        ])
    );
    let name = format!("{INGRESSES} Ingresses: change to effect, worst of {CHANGES}");
    Ok(Outcome { failed, bars: vec![Bar { name, measured: Some(worst), limit: 20.0, unit: "ms" }] })
}

struct Endpoints {
    file: PathBuf,
    /// Outside of the watched folder: the new content comes whole, by a rename.
    draft: PathBuf,
}

impl Endpoints {
    /// Returns the time right before the file changed.
    fn write(&self, backend: SocketAddr) -> anyhow::Result<Instant> {
        fs::write(&self.draft, manifests::endpoint_slice("changing", backend))
            .with_context(|| format!("writing {}", self.draft.display()))?;
        let start = Instant::now();
        fs::rename(&self.draft, &self.file).with_context(|| format!("renaming to {}", self.file.display()))?;
        Ok(start)
    }

    /// The time from the change to the first answer with `text`, and how many answers on the way were no 200.
    fn change(&self, backend: SocketAddr, client: &mut Client, text: &str) -> anyhow::Result<(Duration, u64)> {
        let start = self.write(backend)?;
        let mut wrong = 0;
        loop {
            let (status, body) = client.get("/")?;
            wrong += u64::from(status != 200);
            if body == text.as_bytes() {
                return Ok((start.elapsed(), wrong));
            }
            ensure!(start.elapsed() < Duration::from_secs(10), "the change to {backend} has no effect");
            thread::sleep(PAUSE);
        }
    }
}

fn shop(name: &str, endpoint: SocketAddr) -> String {
    ingress_and_service(name) + &manifests::endpoint_slice(name, endpoint)
}

fn ingress_and_service(name: &str) -> String {
    manifests::ingress(name, Some(&format!("{name}.example")), name, None) + &manifests::service(name)
}
