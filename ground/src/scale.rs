//! `cargo xtask scale`: Tidegate in front of thousands of Ingresses of a real API server, each figure beside its bar.

mod backend;
mod client;
mod effect;
mod objects;

use crate::measure::{Figure, Usage, Writer, table};
use anyhow::{Context as _, ensure};
use backend::NETWORK;
use client::Client;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tidegate_ground::{ADDRESS, Ground, Options as GroundOptions, Process};

/// Longer than this nothing takes but what never comes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Endpoint changes a second, and for how long.
const RATE: u32 = 50;
const CHANGES: u32 = RATE * 20;
/// Changes, each waited for.
const ENDPOINTS: u32 = 200;
const INGRESSES: u32 = 100;
/// Fewer Ingresses than this have no bar of memory.
const FEW: u32 = 1_000;
/// How long a process uses next to nothing before it counts as at rest.
const REST: Duration = Duration::from_secs(2);

/// What is measured, on how much.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The Tidegate that is measured
    #[arg(long, value_name = "PATH")]
    program: PathBuf,
    /// How many Ingresses, each with a Service and two endpoints; one TLS Secret for ten of them
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    ingresses: u32,
    /// Only this beside start and memory; repeatable
    #[arg(long, value_name = "CASE")]
    only: Vec<Case>,
}

/// What is measured beside start and memory.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// CPU time while 50 endpoint changes arrive each second
    Cpu,
    /// From the change of an `EndpointSlice` to the first answer of the new endpoint
    Endpoint,
    /// From a new Ingress to its first answer
    Ingress,
}

/// Measures and prints; true if every bar is met.
///
/// # Errors
/// Where the ground or Tidegate does not start, or something that was changed has no effect.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    let ground = Ground::up(&GroundOptions::default())?;
    let mut ip = Command::new("ip");
    ip.args(["address", "add", &format!("{NETWORK}.0.1/16"), "dev", "lo"]);
    ensure!(ground.run(ip)?.status.success(), "ip cannot add the addresses of the backend");
    let listener = ground.enter(|| std::net::TcpListener::bind(("0.0.0.0", backend::PORT)))??;
    backend::serve(listener);
    let start = Instant::now();
    let writes = ground.block_on(async |client| objects::create(&Writer::new(client), options.ingresses).await)?;
    println!("{writes} objects made in {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let mut tidegate = start_tidegate(&ground, options)?;
    ground.enter(|| until_ready(&tidegate))??;
    let mut figures = vec![Figure::new("start to ready", start.elapsed().as_secs_f64(), "s")];
    let resident = at_rest(&tidegate)?.resident as f64 / 1024.0;
    figures.push(Figure::new("resident at rest", resident / 1024.0, "MiB"));
    let of_each = resident / f64::from(options.ingresses);
    let of_each = Figure::new("resident an Ingress, all included", of_each, "KiB");
    // In front of a few, what the program itself takes would be the figure.
    figures.push(if options.ingresses < FEW { of_each } else { of_each.at_most(50.0) });
    for case in cases(options) {
        figures.extend(measure(case, &ground, &tidegate, options.ingresses)?);
    }
    ensure!(tidegate.status().is_none(), "Tidegate has ended in between");
    tidegate.kill();
    println!("\n{} Ingresses, {} Services, {} endpoints", options.ingresses, options.ingresses, 2 * options.ingresses);
    print!("{}", table(&figures));
    Ok(figures.iter().all(Figure::is_met))
}

fn cases(options: &Options) -> Vec<Case> {
    let all = [Case::Cpu, Case::Endpoint, Case::Ingress];
    all.into_iter().filter(|case| options.only.is_empty() || options.only.contains(case)).collect()
}

fn start_tidegate(ground: &Ground, options: &Options) -> anyhow::Result<Process> {
    let program = std::path::absolute(&options.program)?;
    ensure!(program.is_file(), "{} is no file", program.display());
    let mut command = Command::new(program);
    command.args(["run", "--access-log", "off", "--kubeconfig"]).arg(ground.kubeconfig());
    command.stdout(Stdio::null()).stderr(Stdio::inherit());
    ground.spawn(command)
}

fn until_ready(tidegate: &Process) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let admin = SocketAddr::from(([127, 0, 0, 1], 9901));
    loop {
        let answer = Client::connect(admin).and_then(|mut client| client.ask("localhost", "/readyz"));
        if matches!(answer, Ok((200, _))) {
            return Ok(());
        }
        ensure!(tidegate.status().is_none(), "Tidegate has ended before it was ready");
        ensure!(Instant::now() < deadline, "Tidegate is not ready within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the process has used, once it has used under 2 % of a core for a while.
fn at_rest(tidegate: &Process) -> anyhow::Result<Usage> {
    let deadline = Instant::now() + PATIENCE;
    let mut before = Usage::of(tidegate.id())?;
    loop {
        std::thread::sleep(REST);
        let now = Usage::of(tidegate.id())?;
        if now.cpu - before.cpu < REST / 50 {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "Tidegate does not come to rest within {} s", PATIENCE.as_secs());
        before = now;
    }
}

fn measure(case: Case, ground: &Ground, tidegate: &Process, ingresses: u32) -> anyhow::Result<Vec<Figure>> {
    let address = SocketAddr::from((ADDRESS, 8080));
    ground.block_on(async |client| {
        let writer = Writer::new(client);
        Ok(match case {
            Case::Cpu => vec![cpu(&writer, tidegate, ingresses).await?],
            Case::Endpoint => {
                let effects = effect::of_endpoints(&writer, Client::connect(address)?, ENDPOINTS).await?;
                effects.figures("new endpoint", Some(20.0))
            }
            Case::Ingress => {
                let effects = effect::of_ingresses(&writer, Client::connect(address)?, INGRESSES).await?;
                effects.figures("new Ingress", Some(50.0))
            }
        })
    })
}

async fn cpu(writer: &Writer, tidegate: &Process, ingresses: u32) -> anyhow::Result<Figure> {
    let (start, before) = (Instant::now(), Usage::of(tidegate.id())?);
    objects::change_endpoints(writer, ingresses, RATE, CHANGES).await.context("changing endpoints")?;
    let took = start.elapsed().as_secs_f64();
    let used = Usage::of(tidegate.id())?.cpu - before.cpu;
    let rate = f64::from(CHANGES) / took;
    // Where the machine cannot make them in time, the figure would be too good.
    ensure!(rate > f64::from(RATE) * 0.95, "only {rate:.1} changes a second were made");
    let name = format!("CPU at {rate:.0} endpoint changes a second");
    Ok(Figure::new(&name, used.as_secs_f64() / took * 100.0, "% of a core").at_most(5.0))
}
