//! `cargo xtask compare-dns`: Tidegate beside CoreDNS, Knot and NSD, all with the names of one cluster; a server on one
//! core, the load on another. Tidegate and CoreDNS follow the API server, the others have the same zone as a file.

mod changes;
mod client;
mod cluster;
mod dnsperf;
mod questions;
mod servers;
mod stored;
mod summary;

use crate::measure::{Figure, Witness, Writer, place as place_on_cores};
use anyhow::{Context as _, ensure};
use changes::Changes;
use cluster::{Cluster, SERVICE_RANGE};
use questions::Set;
use servers::{Peer, Place, Server};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use summary::{Case, Measure, Run};
use tidegate_ground::{Ground, Options as GroundOptions, build_coredns};

/// Longer than this nothing takes but what never comes.
const PATIENCE: Duration = Duration::from_secs(300);
/// The core of the server that is measured.
const SERVER_CORE: usize = 0;
/// The core of everything else.
const LOAD_CORE: usize = 1;
/// Endpoint changes a second.
const RATE: u32 = 100;
/// The name of the Service whose changes are waited for, and its namespace.
const CHANGED: &str = "changed";
const NAMESPACE: &str = "ns0";
/// Seconds of load before one that counts, where connections and caches are new.
const WARM_UP: u64 = 1;
/// So that the API server, which has its own machine elsewhere, collects garbage while objects are made and not in every
/// measurement: on two cores it takes both of them for a second, and a change waits for it.
const API_SERVER: [(&str, &str); 2] = [("GOGC", "1000"), ("GOMEMLIMIT", "8GiB")];
/// Between the first numbers of the changes of two measurements: more than one makes.
const STEP: u32 = 20_000;

/// What is measured, on how much.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The Tidegate that is measured
    #[arg(long, value_name = "PATH")]
    program: PathBuf,
    /// How many Services: nine in ten with an address and two endpoints, one in ten headless with four
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=200_000))]
    services: u32,
    /// Seconds of load a measurement
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Rounds, each with every server in turn; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    repeat: u32,
    /// Only these questions; repeatable
    #[arg(long, value_name = "SET")]
    only: Vec<Set>,
    /// Only these servers; repeatable
    #[arg(long, value_name = "SERVER")]
    peer: Vec<Peer>,
}

/// Measures and prints; true if every bar is met and every answer was the right one.
///
/// # Errors
/// Where a program is missing, does not start or ends in between.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    ensure!(std::thread::available_parallelism()?.get() > LOAD_CORE, "compare-dns needs two cores");
    let peers = chosen(&options.peer);
    if peers.contains(&Peer::Coredns) {
        build_coredns(|step| println!("{step}"))?;
    }
    let program = std::path::absolute(&options.program)?;
    ensure!(program.is_file(), "{} is no file", program.display());
    let api_server_flags = vec![format!("--service-cluster-ip-range={SERVICE_RANGE}")];
    let api_server_environment = API_SERVER.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let ground = Ground::up(&GroundOptions { api_server_flags, api_server_environment })?;
    let cluster = Cluster { services: options.services };
    let place = Place { program, cluster, folder: ground.directory().join("dns") };
    fs::create_dir_all(&place.folder)?;
    place.write("zone", &cluster.zone_file())?;
    let start = Instant::now();
    let written = ground.block_on(async |client| cluster.create(&Writer::new(client)).await)?;
    println!("{written} objects made in {:.1} s", start.elapsed().as_secs_f64());
    println!("server on core {SERVER_CORE}; dnsperf {} and the API server on core {LOAD_CORE}", dnsperf::version()?);
    println!("API server with {}", API_SERVER.map(|(name, value)| format!("{name}={value}")).join(" "));
    for peer in &peers {
        println!("  {} {}", peer.name(), peer.version(&place)?);
    }
    let mut run = Run { pods: cluster.endpoints(), services: cluster.services, ..Run::default() };
    answers(&ground, &place, options, &mut run)?;
    let mut figures = Vec::new();
    for peer in peers.iter().filter(|peer| peer.follows_the_cluster()) {
        let server = peer.start(&ground, &place)?;
        let mut turns = 0;
        if chosen(&options.only).contains(&Set::A) {
            // Knot has no changes, but beside them the load has less of its core, and asks in smaller batches.
            let is_compared = *peer == Peer::Tidegate && peers.contains(&Peer::Knot);
            let beside = is_compared.then(|| Peer::Knot.start(&ground, &place)).transpose()?;
            let servers: Vec<&Server> = std::iter::once(&server).chain(&beside).collect();
            hold_cores(&servers, &[LOAD_CORE])?;
            for round in 0..options.repeat {
                for server in &servers {
                    let measure = under_changes(&ground, &place, server, options.seconds, turns)?;
                    run.measures.push((Case { set: Set::A, is_changing: true }, round, measure));
                    turns += 1;
                }
            }
        }
        figures.extend(latency_of_changes(&ground, &server, cluster, turns)?);
    }
    run.figures = figures;
    run.print();
    Ok(run.is_met())
}

/// All of them where none is named.
fn chosen<Value: clap::ValueEnum>(named: &[Value]) -> Vec<Value> {
    if named.is_empty() { Value::value_variants().to_vec() } else { named.to_vec() }
}

/// Every set of questions, in rounds with every server in turn, so that what else the machine does strikes all of them.
fn answers(ground: &Ground, place: &Place, options: &Options, run: &mut Run) -> anyhow::Result<()> {
    let peers = chosen(&options.peer);
    let servers: Vec<Server> = peers.iter().map(|peer| peer.start(ground, place)).collect::<anyhow::Result<_>>()?;
    hold_cores(&servers.iter().collect::<Vec<_>>(), &[LOAD_CORE])?;
    for set in chosen(&options.only) {
        place.write(set.title(), &set.questions(place.cluster))?;
        for round in 0..options.repeat {
            for server in &servers {
                let measure = ground.enter(|| measure(place, server, set, options.seconds))?;
                let measure = measure.with_context(|| format!("{}, {}", server.peer.name(), set.title()))?;
                run.measures.push((Case { set, is_changing: false }, round, measure));
            }
        }
    }
    Ok(())
}

/// This program and all that it has started run on `cores`, each server alone on its own.
fn hold_cores(servers: &[&Server], cores: &[usize]) -> anyhow::Result<()> {
    place_on_cores(std::process::id(), cores)?;
    servers.iter().try_for_each(|server| place_on_cores(server.id(), &[SERVER_CORE]))
}

fn measure(place: &Place, server: &Server, set: Set, seconds: u64) -> anyhow::Result<Measure> {
    let questions = place.folder.join(set.title());
    dnsperf::flat_out(set, server.address, &questions, WARM_UP)?;
    let before = server.usage()?;
    let seen = dnsperf::flat_out(set, server.address, &questions, seconds)?;
    let measure = Measure::new(server.peer, set, &seen, [before, server.usage()?]);
    let half = dnsperf::latency(set, server.address, &questions, seconds.div_ceil(2), seen.per_second / 2.0)?;
    Ok(Measure { half: Some(half), ..measure })
}

fn under_changes(ground: &Ground, place: &Place, server: &Server, seconds: u64, turn: u32) -> anyhow::Result<Measure> {
    let (set, questions, address) = (Set::A, place.folder.join(Set::A.title()), server.address);
    ground.enter(|| dnsperf::flat_out(set, address, &questions, WARM_UP))??;
    ground.block_on(async |client| {
        let changes = Changes::start(&Writer::new(client), place.cluster, turn * STEP);
        let before = server.usage()?;
        let load = move || dnsperf::flat_out(set, address, &questions, seconds);
        let seen = tokio::task::spawn_blocking(load).await.context("the load panicked")??;
        let measure = Measure::new(server.peer, set, &seen, [before, server.usage()?]);
        Ok(Measure { changes: Some(changes.stop().await?), ..measure })
    })
}

/// On all cores: what is waited for is the server, not the core that the API server shares with the load elsewhere.
fn latency_of_changes(ground: &Ground, server: &Server, cluster: Cluster, turns: u32) -> anyhow::Result<Vec<Figure>> {
    hold_cores(&[server], &[SERVER_CORE, LOAD_CORE])?;
    let (effects, rate) = ground.block_on(async |client| {
        let witness = Witness::start(client.clone(), NAMESPACE, CHANGED).await?;
        let writer = Writer::new(client);
        writer.collect_garbage().await?;
        let changes = Changes::start(&writer, cluster, turns * STEP);
        let effects = changes::effects(&writer, witness, server.address, (turns + 1) * STEP).await;
        let rate = changes.stop().await?;
        Ok((effects?, rate))
    })?;
    let limit = (server.peer == Peer::Tidegate).then_some(20.0);
    Ok(effects.figures(&format!("{}: change to answer at {rate:.0} changes/s", server.peer.name()), limit))
}
