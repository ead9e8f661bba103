//! `tidegate-ground build|up|down|run`, which `cargo xtask ground` calls, and `scale` and `compare-dns` for the chores of
//! these names.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it speaks to the terminal")]

mod dns;
mod measure;
mod scale;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tidegate_ground::kubelet::{self, Image, Images};
use tidegate_ground::standing::Standing;
use tidegate_ground::{Ground, Kubelet, Options, binaries, build, build_coredns, check_machine, sweep, until};
use tokio::signal::unix::{SignalKind, signal};

const END: Duration = Duration::from_secs(60);
/// What the keeper says when the ground is up.
const UP: &str = "up";

#[derive(Parser)]
#[command(bin_name = "cargo xtask ground", about = "A real Kubernetes control plane in a network namespace")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build etcd, kube-apiserver, kube-controller-manager, kubectl and echo-basic, those that are not built yet
    Build {
        /// CoreDNS too, which `cargo xtask compare-dns` needs
        #[arg(long)]
        coredns: bool,
    },
    /// Start a ground with a kubelet that stays until `down`
    Up {
        #[command(flatten)]
        pods: Pods,
    },
    /// End the ground that stands, and remove what dead ones have left
    Down,
    /// Run a command in the ground that stands, or else in a new one, with KUBECONFIG set
    Run {
        /// In a new one though one stands
        #[arg(long)]
        new: bool,
        #[command(flatten)]
        pods: Pods,
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Measure a Tidegate in front of thousands of Ingresses
    #[command(hide = true)]
    Scale(scale::Options),
    /// Measure a Tidegate's DNS beside that of others
    #[command(hide = true)]
    CompareDns(dns::Options),
    /// Keep a ground until SIGTERM
    #[command(hide = true)]
    Keep {
        #[command(flatten)]
        pods: Pods,
    },
}

/// What the kubelet of a new ground knows.
#[derive(Args)]
struct Pods {
    /// The program that an image means, as NAME=PATH, beside `echo-basic` and `host` (repeatable)
    #[arg(long, value_name = "NAME=PATH", value_parser = image)]
    image: Vec<(String, PathBuf)>,
    /// How many nodes there are
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    nodes: u8,
}

fn image(text: &str) -> Result<(String, PathBuf), String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    if path.is_file() { Ok((name.to_owned(), path)) } else { Err(format!("{} is no file", path.display())) }
}

impl Pods {
    fn start(&self, ground: &Ground) -> anyhow::Result<Kubelet> {
        let mut images = Images::usual()?;
        for (name, path) in &self.image {
            images = images.with(name, Image::new(path));
        }
        ground.kubelet(kubelet::Options { images, nodes: self.nodes })
    }

    /// # Errors
    /// Where something was asked for that a ground which stands already may not have.
    fn refuse(&self) -> anyhow::Result<()> {
        let is_usual = self.image.is_empty() && self.nodes == 1;
        ensure!(is_usual, "a ground stands already, and --image and --nodes are for a new one: end it with down");
        Ok(())
    }

    fn flags(&self) -> Vec<OsString> {
        let images = self.image.iter().map(|(name, path)| format!("--image={name}={}", path.display()));
        images.chain([format!("--nodes={}", self.nodes)]).map(OsString::from).collect()
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().chore {
        Chore::Build { coredns } => build_all(coredns).map(|()| ExitCode::SUCCESS),
        Chore::Up { pods } => up(&pods).map(|()| ExitCode::SUCCESS),
        Chore::Down => down().map(|()| ExitCode::SUCCESS),
        Chore::Run { new, pods, command } => run(new, &pods, &command),
        Chore::Scale(options) => measure(|| scale::run(&options)),
        Chore::CompareDns(options) => measure(|| dns::run(&options)),
        Chore::Keep { pods } => keep(&pods).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        println!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn measure(run: impl FnOnce() -> anyhow::Result<bool>) -> anyhow::Result<ExitCode> {
    check_machine()?;
    build(|step| println!("{step}"))?;
    let is_met = run()?;
    Ok(if is_met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn build_all(with_coredns: bool) -> anyhow::Result<()> {
    build(|step| println!("{step}"))?;
    if with_coredns {
        build_coredns(|step| println!("{step}"))?;
    }
    for name in binaries::NAMES.into_iter().chain(with_coredns.then_some("coredns")) {
        println!("{}", binaries::find(name)?.display());
    }
    Ok(())
}

fn up(pods: &Pods) -> anyhow::Result<()> {
    if let Some(standing) = Standing::find()? {
        pods.refuse()?;
        tell(&standing);
        return Ok(());
    }
    check_machine()?;
    build(|step| println!("{step}"))?;
    let log = binaries::folder()?.join("standing.log");
    // In a session of its own: what ends this terminal does not end the ground.
    let keeper = Command::new("setsid")
        .arg(std::env::current_exe()?)
        .arg("keep")
        .args(pods.flags())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&log).with_context(|| log.display().to_string())?)
        .spawn()
        .context("setsid does not start: install util-linux")?;
    let mut said = Vec::new();
    for line in keeper.stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
        let line = line?;
        if line == UP {
            tell(&Standing::find()?.context("the ground has ended already")?);
            return Ok(());
        }
        said.push(line);
    }
    bail!("the ground is not up:\n{}", said.join("\n"))
}

fn tell(Standing { owner, namespace, kubeconfig }: &Standing) {
    println!("a ground is up (process {owner})");
    println!("  export KUBECONFIG={}", kubeconfig.display());
    println!("  cargo xtask ground run kubectl get pods --all-namespaces");
    println!("  ip netns exec {namespace} bash");
    println!("  cargo xtask ground down");
}

fn keep(pods: &Pods) -> anyhow::Result<()> {
    let ground = Ground::up(&Options::default())?;
    let kubelet = pods.start(&ground)?;
    Standing::write(&ground)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        println!("{UP}");
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        anyhow::Ok(())
    })?;
    drop(kubelet);
    drop(ground);
    Standing::forget()
}

fn down() -> anyhow::Result<()> {
    match Standing::find()? {
        Some(Standing { owner, namespace, .. }) => {
            let id = i32::try_from(owner).ok().and_then(rustix::process::Pid::from_raw);
            rustix::process::kill_process(id.context("the owner's id")?, rustix::process::Signal::TERM)?;
            until("the ground has ended", END, || Ok(Standing::find()?.is_none().then_some(())))?;
            println!("{namespace} has ended");
        }
        None => println!("no ground stands"),
    }
    Standing::forget()?;
    for name in sweep()? {
        println!("{name}: its owner is dead; removed");
    }
    Ok(())
}

fn run(is_new: bool, pods: &Pods, words: &[OsString]) -> anyhow::Result<ExitCode> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut command = match program.to_str() {
        Some("kubectl") => Command::new(binaries::find("kubectl")?),
        _ => Command::new(program),
    };
    // So that a script finds kubectl.
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = [binaries::folder()?].into_iter().chain(std::env::split_paths(&paths));
    command.args(arguments).env("PATH", std::env::join_paths(paths)?);
    let status = if let Some(standing) = Standing::find()?.filter(|_| !is_new) {
        pods.refuse()?;
        standing.run(command)?
    } else {
        check_machine()?;
        build(|step| eprintln!("{step}"))?;
        let ground = Ground::up(&Options::default())?;
        let _kubelet = pods.start(&ground)?;
        ground.spawn(command)?.wait()?
    };
    Ok(exit_code(status))
}

/// As a shell tells it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
