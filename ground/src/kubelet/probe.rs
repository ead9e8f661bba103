//! Startup, readiness and liveness probes of a running container.

mod http;

use super::container;
use super::pod::container_set::{Member, Running};
use super::pod::{Work, end_container};
use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::{HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Runs until the container has ended: whoever waits for that drops this.
pub(super) async fn watch(work: Rc<Work>, member: Rc<Member>, running: Rc<Running>) {
    let kill = async |probe: &Probe| {
        let grace = probe.termination_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let of_pod = work.spec().termination_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        end_container(&work, &member, Some(Duration::from_secs(grace.or(of_pod).unwrap_or(30)))).await;
    };
    if let Some(probe) = &member.spec.startup_probe {
        let has_started = rounds(&work, &member, &running, probe, ControlFlow::Break).await;
        if !has_started {
            return kill(probe).await;
        }
    }
    member.is_started.set(true);
    member.tell();
    let readiness = async {
        match &member.spec.readiness_probe {
            None => member.set_ready(true),
            Some(probe) => {
                let told = |is_ready| {
                    member.set_ready(is_ready);
                    ControlFlow::Continue(())
                };
                rounds(&work, &member, &running, probe, told).await;
            }
        }
    };
    let liveness = async {
        if let Some(probe) = &member.spec.liveness_probe {
            let is_dead = |is_alive| if is_alive { ControlFlow::Continue(()) } else { ControlFlow::Break(false) };
            rounds(&work, &member, &running, probe, is_dead).await;
            // A container that is ending anyway is not ended a second time.
            if !member.is_stopping.get() {
                kill(probe).await;
            }
        }
    };
    tokio::join!(readiness, liveness);
}

/// Probes until `told`, who hears of each threshold that is reached, has heard enough; gives what it then said.
async fn rounds(
    work: &Work,
    member: &Member,
    running: &Running,
    probe: &Probe,
    mut told: impl FnMut(bool) -> ControlFlow<bool>,
) -> bool {
    let seconds = |value: Option<i32>, usual: u64| {
        Duration::from_secs(
            value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0).unwrap_or(usual),
        )
    };
    let enough = |value: Option<i32>, usual: i32| value.filter(|value| *value > 0).unwrap_or(usual);
    let (mut good, mut bad) = (0, 0);
    sleep(seconds(probe.initial_delay_seconds, 0)).await;
    loop {
        let answer = timeout(seconds(probe.timeout_seconds, 1), check(work, member, running, probe)).await;
        let is_good = matches!(answer, Ok(Ok(true)));
        (good, bad) = if is_good { (good + 1, 0) } else { (0, bad + 1) };
        let is_told = if is_good {
            good >= enough(probe.success_threshold, 1)
        } else {
            bad >= enough(probe.failure_threshold, 3)
        };
        if is_told && let ControlFlow::Break(answer) = told(is_good) {
            return answer;
        }
        sleep(seconds(probe.period_seconds, 10)).await;
    }
}

async fn check(work: &Work, member: &Member, running: &Running, probe: &Probe) -> anyhow::Result<bool> {
    if let Some(action) = &probe.http_get {
        get(work, member, action).await
    } else if let Some(action) = &probe.tcp_socket {
        let address = address(work, member, action.host.as_deref(), &action.port)?;
        Ok(TcpStream::connect(address).await.is_ok())
    } else if let Some(action) = &probe.exec {
        let words = action.command.as_deref().unwrap_or_default();
        container::exec(running, member.spec.working_dir.as_deref(), words).await
    } else {
        bail!("this kind of probe is not known here")
    }
}

/// Whether a GET is answered with a status of 200 to 399.
///
/// # Errors
/// Where there is no such port, and where no answer comes.
pub(super) async fn get(work: &Work, member: &Member, action: &HTTPGetAction) -> anyhow::Result<bool> {
    let address = address(work, member, action.host.as_deref(), &action.port)?;
    let status = http::get(address, action).await?;
    Ok((200..400).contains(&status))
}

fn address(work: &Work, member: &Member, host: Option<&str>, port: &IntOrString) -> anyhow::Result<SocketAddr> {
    let ip = match host.filter(|host| !host.is_empty()) {
        Some(host) => host.parse().with_context(|| format!("{host} is no address"))?,
        None => work.place().pod.into(),
    };
    let named = |name: &str| member.spec.ports.iter().flatten().find(|port| port.name.as_deref() == Some(name));
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => named(name).with_context(|| format!("no port is called {name}"))?.container_port,
    };
    Ok(SocketAddr::new(ip, u16::try_from(number)?))
}
