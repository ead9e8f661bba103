//! Where a Service is reached now: what a client of its address would be sent to, as its EndpointSlices say it.

use crate::authority::Authority;
use crate::client::Door;
use crate::tools::tool;
use ground::{Ground, Process};
use serde_json::Value;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tokio::sync::watch;

/// The ready addresses of a Service with one EndpointSlice, kept up to date.
pub(crate) struct Doors {
    watch: Process,
    thread: Option<JoinHandle<()>>,
    pub(crate) ready: watch::Receiver<Vec<Door>>,
}

impl Doors {
    /// Follows the Service with the ports `http` and `https`.
    ///
    /// # Errors
    /// Where kubectl does not start.
    pub(crate) fn of(
        ground: &Ground,
        namespace: &str,
        service: &str,
        authority: &Arc<Authority>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(tool("kubectl"));
        command.args(["get", "endpointslices", "--watch", "--output=json", "--namespace", namespace]);
        command.args(["--selector", &format!("kubernetes.io/service-name={service}")]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut watch = ground.spawn(command)?;
        let slices = watch.stdout.take().ok_or_else(|| anyhow::anyhow!("kubectl has no output"))?;
        let (sender, ready) = watch::channel(Vec::new());
        let authority = Arc::clone(authority);
        let thread = thread::Builder::new().spawn(move || follow(slices, &sender, &authority))?;
        Ok(Self { watch, thread: Some(thread), ready })
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.watch.kill();
        // It ends with its input.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn follow(slices: impl Read, sender: &watch::Sender<Vec<Door>>, authority: &Arc<Authority>) {
    for slice in serde_json::Deserializer::from_reader(slices).into_iter::<Value>() {
        // A killed kubectl may leave half an object.
        let Ok(slice) = slice else { return };
        sender.send_replace(doors(&slice, authority).expect("an EndpointSlice"));
    }
}

/// The ready endpoints of a slice; `None` for what is no slice with both ports.
fn doors(slice: &Value, authority: &Arc<Authority>) -> Option<Vec<Door>> {
    // Until its first endpoint a slice has no ports.
    let endpoints = slice["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = endpoints.iter().filter(|endpoint| endpoint["conditions"]["ready"] == true);
    let addresses = ready.filter_map(|endpoint| endpoint["addresses"][0].as_str()?.parse::<IpAddr>().ok());
    let port = |name: &str| {
        let port = slice["ports"].as_array()?.iter().find(|port| port["name"] == name)?;
        u16::try_from(port["port"].as_u64()?).ok()
    };
    let door = |address: IpAddr| {
        Some(Door {
            http: SocketAddr::new(address, port("http")?),
            https: SocketAddr::new(address, port("https")?),
            authority: Arc::clone(authority),
        })
    };
    addresses.map(door).collect()
}
