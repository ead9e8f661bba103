//! A way to the API server that can be cut, for the one program whose kubeconfig leads there: nobody else notices.

use crate::load::runtime_in;
use ground::Ground;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

const ADDRESS: &str = "10.0.0.1:16443";
const API_SERVER: &str = "10.0.0.1:6443";

/// Connections that it takes end at the API server, as long as it is not cut.
pub(crate) struct Relay {
    is_cut: watch::Sender<bool>,
    _runtime: Runtime,
}

impl Relay {
    /// # Errors
    /// Where its address is taken.
    pub(crate) fn up(ground: &Ground) -> anyhow::Result<Self> {
        let runtime = runtime_in(ground)?;
        // Of the runtime only its own thread is inside.
        let listener = runtime.block_on(runtime.spawn(TcpListener::bind(ADDRESS)))??;
        let is_cut = watch::Sender::new(false);
        runtime.spawn(accept(listener, is_cut.subscribe()));
        Ok(Self { is_cut, _runtime: runtime })
    }

    /// The administrator's kubeconfig by this way.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub(crate) fn kubeconfig(ground: &Ground) -> anyhow::Result<PathBuf> {
        let path = ground.directory().join("kubeconfig-by-relay");
        change(&ground.kubeconfig(), &path, |kubeconfig| {
            kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://{ADDRESS}"));
        })?;
        Ok(path)
    }

    /// Ends every connection, and each new one at once.
    pub(crate) fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Takes connections again.
    pub(crate) fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

/// Writes a kubeconfig that differs from another one.
///
/// # Errors
/// Where a file cannot be read or written.
pub(crate) fn change(from: &Path, to: &Path, change: impl FnOnce(&mut serde_json::Value)) -> anyhow::Result<()> {
    let mut kubeconfig = serde_json::from_slice(&fs::read(from)?)?;
    change(&mut kubeconfig);
    Ok(fs::write(to, kubeconfig.to_string())?)
}

async fn accept(listener: TcpListener, is_cut: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(relay(client, is_cut.clone()));
    }
}

async fn relay(mut client: TcpStream, mut is_cut: watch::Receiver<bool>) {
    let relayed = async {
        let mut server = TcpStream::connect(API_SERVER).await?;
        copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        biased;
        _ = is_cut.wait_for(|is_cut| *is_cut) => {}
        // Whoever has ended it knows why.
        _ = relayed => {}
    }
}
