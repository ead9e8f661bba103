//! One container: started, watched by its probes, started again as the Pod's policy says.

use super::environment::{Environment, hostname};
use super::pod::Work;
use super::pod::container_set::{Kind, Member, Running, exit_code};
use super::root::{Mount, Root};
use super::{probe, security};
use crate::exec::{become_identity, mount_proc, unshare};
use crate::process::Process;
use anyhow::Context as _;
use k8s_openapi::api::core::v1::PodSpec;
use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces};
use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

/// Before a container is tried again whose image or Secret is not there.
const RETRY: Duration = Duration::from_millis(500);
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// Why a container does not run.
enum Failure {
    /// Something is missing that may come yet: the reason in its status, and the message.
    Waits(&'static str, anyhow::Error),
    /// Its program does not start.
    Ends(anyhow::Error),
}

/// Runs it until it has ended and is not to be started again.
pub(super) async fn run(work: Rc<Work>, member: Rc<Member>) {
    let mut backoff = FIRST_BACKOFF;
    while !member.is_stopping.get() {
        let since = Instant::now();
        match start(&work, &member).await {
            // It was too late for being ended in an orderly way.
            Ok(running) if member.is_stopping.get() => drop(running),
            Ok(running) => attend(&work, &member, running).await,
            Err(Failure::Waits(reason, error)) => {
                member.wait_for(reason, format!("{error:#}"));
                member.pause(RETRY).await;
                continue;
            }
            Err(Failure::Ends(error)) => member.end(128, "StartError", format!("{error:#}")),
        }
        if member.is_stopping.get() || !runs_again(&work, &member) {
            break;
        }
        if since.elapsed() > LONGEST_BACKOFF {
            backoff = FIRST_BACKOFF;
        }
        member.wait_for("CrashLoopBackOff", format!("back-off {} ms", backoff.as_millis()));
        member.pause(backoff).await;
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
        member.restarts.set(member.restarts.get() + 1);
    }
    member.is_done.set(true);
    member.tell();
}

/// Until its end.
async fn attend(work: &Rc<Work>, member: &Rc<Member>, running: Rc<Running>) {
    let mut exit = running.process.exit();
    member.start(Rc::clone(&running));
    let mut probes = JoinSet::new();
    probes.spawn_local(probe::watch(Rc::clone(work), Rc::clone(member), running));
    let status = exit.wait_for(Option::is_some).await.ok().and_then(|status| *status);
    drop(probes);
    let code = status.map_or(255, exit_code);
    member.end(code, if code == 0 { "Completed" } else { "Error" }, String::new());
}

fn runs_again(work: &Work, member: &Member) -> bool {
    let policy = work.spec().restart_policy.as_deref().unwrap_or("Always");
    let has_failed = member.code() != Some(0);
    match (member.kind, policy) {
        (Kind::Sidecar, _) => true,
        (_, "Never") => false,
        (Kind::Main, "Always") => true,
        _ => has_failed,
    }
}

async fn start(work: &Rc<Work>, member: &Member) -> Result<Rc<Running>, Failure> {
    let container = &member.spec;
    let name = container.image.as_deref().unwrap_or_default();
    let image = work.shared.images.find(name).cloned().with_context(|| format!("the kubelet knows no image {name}"));
    let image = image.map_err(|error| Failure::Waits("ErrImagePull", error))?;
    let not_configured = |error| Failure::Waits("CreateContainerConfigError", error);
    let identity = security::identity(work.spec(), container, &image).map_err(not_configured)?;
    let environment = Environment::of(&work.shared, &work.pod, container, work.place());
    let environment = environment.await.map_err(not_configured)?;
    let mut mounts = work.mounts(container, &environment).map_err(not_configured)?;
    if let Some((program, at)) = &image.program {
        let mount = Mount { source: program.clone(), target: at.into(), is_read_only: true };
        mounts.insert(0, mount);
    }
    let own = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
    let entry = own(&container.command).or_else(|| image.program.as_ref().map(|(_, at)| vec![at.clone()]));
    let entry = entry.context("the image has no program of its own, and the container names no command");
    let mut words = entry.map_err(not_configured)?;
    // A command without arguments does not get those of the image.
    words.extend(
        own(&container.args)
            .unwrap_or_else(|| if container.command.is_some() { Vec::new() } else { image.arguments.clone() }),
    );
    let words: Vec<String> = words.iter().map(|word| environment.expand(word)).collect();
    let mut command = command(&words, &environment, container.working_dir.as_deref()).map_err(Failure::Ends)?;
    mount_proc(&mut command);
    become_identity(&mut command, identity.clone());
    let root = root(work, member, mounts).map_err(Failure::Ends)?;
    let process = launch(work, member, command, root).await.map_err(Failure::Ends)?;
    Ok(Rc::new(Running { process, environment, identity }))
}

/// The words as a command with this environment alone.
fn command(words: &[String], environment: &Environment, folder: Option<&str>) -> anyhow::Result<Command> {
    let (program, arguments) = words.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    command.envs(environment.variables.iter().map(|(name, value)| (name, value)));
    command.current_dir(folder.filter(|folder| !folder.is_empty()).unwrap_or("/"));
    command.stdin(Stdio::null());
    Ok(command)
}

fn root(work: &Work, member: &Member, mounts: Vec<Mount>) -> anyhow::Result<Root> {
    let stage = work.set.directory.join("roots").join(format!("{}-{}", member.spec.name, member.restarts.get()));
    fs::create_dir_all(&stage).with_context(|| stage.display().to_string())?;
    let security = member.spec.security_context.as_ref();
    let is_read_only = security.and_then(|security| security.read_only_root_filesystem) == Some(true);
    let files = vec![("/etc/hosts", hosts(work)), ("/etc/resolv.conf", resolver(work.spec()))];
    Ok(Root { stage, mounts, files, is_read_only })
}

async fn launch(work: &Work, member: &Member, mut command: Command, root: Root) -> anyhow::Result<Process> {
    let log = super::logs::file(&work.set, &member.spec.name, member.restarts.get());
    fs::create_dir_all(log.parent().unwrap_or(&work.set.directory))?;
    let log = File::create(&log).with_context(|| log.display().to_string())?;
    command.stdout(log.try_clone()?).stderr(log);
    let network = work.network();
    let name = hostname(&work.pod);
    let has_own_name = work.spec().host_network != Some(true);
    let start = move || {
        Process::start(command, move || {
            network.enter()?;
            if has_own_name {
                unshare(UnshareFlags::NEWUTS)?;
                rustix::system::sethostname(name.as_bytes())?;
            }
            root.enter()?;
            unshare(UnshareFlags::NEWPID).context("no process namespace can be made")
        })
    };
    spawn_blocking(start).await?
}

/// Runs `words` beside the container's process, and tells whether they ended well.
///
/// # Errors
/// Where they do not start.
pub(super) async fn exec(running: &Running, folder: Option<&str>, words: &[String]) -> anyhow::Result<bool> {
    let mut command = command(words, &running.environment, folder)?;
    command.stdout(Stdio::null()).stderr(Stdio::null());
    become_identity(&mut command, running.identity.clone());
    let handle = running.process.handle()?;
    let enter = move || {
        // A mount namespace can only be entered by a thread whose root is its own.
        unshare(UnshareFlags::FS)?;
        let all = ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME;
        move_into_thread_name_spaces(handle.as_fd(), all).context("the container cannot be entered")
    };
    let process = spawn_blocking(move || Process::start(command, enter)).await??;
    let status = process.exit().wait_for(Option::is_some).await.ok().and_then(|status| *status);
    Ok(status.is_some_and(|status| status.success()))
}

fn hosts(work: &Work) -> String {
    let mut lines = format!("127.0.0.1 localhost\n::1 localhost\n{} {}\n", work.place().pod, hostname(&work.pod));
    for alias in work.spec().host_aliases.iter().flatten() {
        lines += &format!("{} {}\n", alias.ip, alias.hostnames.as_deref().unwrap_or_default().join(" "));
    }
    lines
}

/// A cluster's DNS is not here: a Pod that wants one names it.
fn resolver(spec: &PodSpec) -> String {
    let Some(config) = &spec.dns_config else { return String::new() };
    let mut lines = String::new();
    for server in config.nameservers.iter().flatten() {
        lines += &format!("nameserver {server}\n");
    }
    if let Some(searches) = &config.searches {
        lines += &format!("search {}\n", searches.join(" "));
    }
    for option in config.options.iter().flatten() {
        let name = option.name.as_deref().unwrap_or_default();
        lines +=
            &option.value.as_ref().map_or(format!("options {name}\n"), |value| format!("options {name}:{value}\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_resolver_is_what_the_pod_names() {
        let spec = json!({"containers": [], "dnsConfig": {
            "nameservers": ["10.0.0.1"], "searches": ["a.svc", "svc"], "options": [{"name": "ndots", "value": "5"}],
        }});
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(resolver(&spec), "nameserver 10.0.0.1\nsearch a.svc svc\noptions ndots:5\n");
        assert_eq!(resolver(&PodSpec::default()), "");
    }
}
