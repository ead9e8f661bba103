//! A kubelet whose Pods are processes: it registers nodes, binds Pods to them, and runs each container in namespaces of
//! its own over a copy-on-write view of the machine's root.

mod bind;
mod container;
mod environment;
mod image;
mod journal;
mod logs;
mod network;
mod node;
mod pod;
mod probe;
mod root;
mod security;
mod status;
mod volumes;
mod watch;

pub use image::{Image, Images};

use crate::credentials::Credentials;
use crate::ground::{client, runtime};
use crate::namespace::NetworkNamespace;
use anyhow::Context as _;
use journal::Journal;
use kube::Client;
use network::Addresses;
use node::Node;
use pod::container_set::ContainerSet;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// What a kubelet runs, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which program an image's name means.
    pub images: Images,
    /// How many nodes there are: `node-1`, `node-2`, …; node N has the address 10.0.0.N.
    pub nodes: u8,
}

/// A running kubelet. Dropping it kills all Pods at once; the API server is not told.
pub struct Kubelet {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where the kubelet of a ground works.
pub(crate) struct Place {
    pub(crate) network: NetworkNamespace,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) count: Arc<AtomicU16>,
}

/// What the tasks of all Pods share.
struct Shared {
    client: Client,
    network: NetworkNamespace,
    directory: PathBuf,
    images: Images,
    nodes: Vec<Node>,
    addresses: Addresses,
    journal: Journal,
    /// The containers of each Pod by its namespace and name, for those who want to read its logs.
    running: RefCell<HashMap<(String, String), Rc<ContainerSet>>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { images: Images::default(), nodes: 1 }
    }
}

impl Kubelet {
    pub(crate) fn start(place: Place, options: Options) -> anyhow::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (sender, started) = mpsc::channel();
        let thread = thread::Builder::new().name("kubelet".to_owned()).spawn(move || {
            if let Err(error) = run(place, options, &sender, stopped) {
                // Nobody listens once it has started; then it ends by being stopped alone.
                drop(sender.send(Err(error)));
            }
        })?;
        started.recv().context("the thread of the kubelet panicked")??;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(
    place: Place,
    options: Options,
    started: &mpsc::Sender<anyhow::Result<()>>,
    stopped: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    place.network.enter()?;
    std::fs::create_dir_all(&place.directory).with_context(|| place.directory.display().to_string())?;
    let journal = Journal::open(&place.directory.with_extension("log"))?;
    let runtime = runtime()?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let client = client(&place.kubeconfig).await?;
        let nodes = node::register(&client, options.nodes).await?;
        let logs = logs::Server::bind(&place.credentials, &nodes).await?;
        let shared = Rc::new(Shared {
            client,
            network: place.network,
            directory: place.directory,
            images: options.images,
            nodes,
            addresses: Addresses::new(place.count),
            journal,
            running: RefCell::default(),
        });
        // Who started it waits for this alone.
        drop(started.send(Ok(())));
        tokio::select! {
            () = watch::follow_pods(&shared) => {}
            () = logs.serve(&shared) => {}
            // An error is the sender's end, which is what ends it.
            _ = stopped => {}
        }
        Ok(())
    })
}
