//! What 10,000 hosts cost against one: CPU a request under the same load, and resident memory at rest.

use super::ground::Ground;
use super::load::{Load, Protocol};
use super::report::{Bar, median, table};
use super::{Options, Outcome, PROXY_CORE};
use crate::manifests;
use crate::running::Serving;
use crate::tidegate;
use std::fs;

const HOSTS: u32 = 10_000;
/// Fewer would measure the noise.
const ROUNDS: u64 = 3;
/// Ingresses a file.
const FILE: u32 = 500;

/// Both programs run all the time and are loaded in turn, so that noise is shared.
pub(super) fn measure(ground: &Ground, options: &Options) -> anyhow::Result<Outcome> {
    println!("\n{HOSTS} hosts against one, each in turn, 64 connections");
    let mut few = start(ground, 1)?;
    let mut many = start(ground, HOSTS)?;
    let at_rest = [few.running.usage()?.resident, many.running.usage()?.resident];
    let mut rounds = Vec::new();
    for _ in 0..options.repeat.max(ROUNDS) {
        let mut round = Vec::new();
        for (tidegate, count) in [(&mut few, 1), (&mut many, HOSTS)] {
            let load = Load { over: Protocol::Hosts { count }, secure: false, connections: 64, path: "/" };
            round.push(load.measure(ground, &mut tidegate.running, tidegate.http, options.seconds)?);
        }
        rounds.push(round);
    }
    let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut rows =
        vec![["", "requests/s", "CPU µs/request", "resident MiB at rest", "under load"].map(str::to_owned).to_vec()];
    for (column, (count, at_rest)) in [1, HOSTS].into_iter().zip(at_rest).enumerate() {
        let measures = || rounds.iter().filter_map(|round| round.get(column));
        let of = |values: Vec<f64>| median(values).unwrap_or(f64::NAN);
        rows.push(vec![
            format!("{count} hosts"),
            format!("{:.0}", of(measures().map(|measure| measure.per_second).collect())),
            format!("{:.1}", of(measures().map(|measure| measure.cpu).collect())),
            format!("{:.1}", mebibytes(at_rest)),
            format!("{:.1}", of(measures().map(|measure| mebibytes(measure.resident)).collect())),
        ]);
    }
    print!("{}", table(&rows));
    let ratio = median(rounds.iter().filter_map(|round| Some(round.get(1)?.cpu / round.first()?.cpu)));
    let bars = vec![
        Bar { name: format!("{HOSTS} hosts: CPU to one host's"), measured: ratio, limit: 1.05, unit: "×" },
        Bar {
            name: format!("{HOSTS} hosts: resident at rest"),
            measured: Some(mebibytes(at_rest[1])),
            limit: 30.0,
            unit: "MiB",
        },
    ];
    Ok(Outcome { failed: rounds.iter().flatten().map(|measure| measure.failed).sum(), bars })
}

fn start(ground: &Ground, count: u32) -> anyhow::Result<Serving> {
    let folder = ground.folder().join(format!("hosts-{count}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("service.yaml"), manifests::annotated_service("shop", ground.backend))?;
    for first in (0..count).step_by(FILE as usize) {
        // These are the hosts that `load/hosts.lua` asks.
        let ingresses: String = (first..count.min(first + FILE))
            .map(|number| format!("host-{number}"))
            .map(|name| manifests::ingress(&name, Some(&format!("{name}.example")), "shop", None))
            .collect();
        fs::write(folder.join(format!("ingresses-{first:05}.yaml")), ingresses)?;
    }
    tidegate::start(&ground.program, &folder, Some(PROXY_CORE))
}
