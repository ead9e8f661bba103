//! A ground: its namespace, its control plane and the ways into it.

mod kubectl;

use crate::credentials::Credentials;
use crate::directory::Directory;
use crate::exec::die_with_thread;
use crate::kubelet::{self, Kubelet};
use crate::namespace::{NetworkNamespace, ip};
use crate::process::Process;
use crate::server::Server;
use crate::{ADDRESS, control_plane};
use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;

const SERVICE_ACCOUNTS: Duration = Duration::from_secs(60);

/// What a ground may have beyond the usual.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More flags of kube-apiserver, each `--name=value`.
    pub api_server_flags: Vec<String>,
    /// Environment variables of kube-apiserver, by their names.
    pub api_server_environment: Vec<(String, String)>,
}

/// A Kubernetes control plane of its own. Dropping it ends all of it and leaves nothing behind.
pub struct Ground {
    // In the order in which they end.
    controller_manager: Server,
    api_server: Server,
    etcd: Server,
    namespace: NetworkNamespace,
    credentials: Arc<Credentials>,
    pods: Arc<AtomicU16>,
    directory: Directory,
}

impl Ground {
    /// Starts one and waits until it is ready: the API server answers, the controllers run, the namespace `default`
    /// has its service account.
    ///
    /// # Errors
    /// Without root, without iproute2, without the programs (`cargo xtask ground build`), or with the last words of
    /// what does not start.
    pub fn up(options: &Options) -> anyhow::Result<Self> {
        check_machine()?;
        let directory = Directory::create()?;
        let namespace = NetworkNamespace::create()?;
        directory.name_namespace(&namespace.path())?;
        namespace.run(|| {
            ip(&format!("addr add {ADDRESS}/32 dev lo"))?;
            let forward = "/proc/sys/net/ipv4/ip_forward";
            std::fs::write(forward, "1").context(forward)
        })??;
        let credentials = Arc::new(Credentials::create(directory.path().join("credentials"))?);
        let ground = Self {
            etcd: etcd(&directory, &namespace),
            api_server: api_server(&directory, &namespace, &credentials, options.clone()),
            controller_manager: controller_manager(&directory, &namespace, &credentials),
            namespace,
            credentials,
            pods: Arc::new(AtomicU16::new(0)),
            directory,
        };
        ground.etcd.launch()?;
        ground.api_server.start()?;
        ground.controller_manager.launch()?;
        ground.wait_for_service_account("default")?;
        Ok(ground)
    }

    /// The administrator's; it works inside only.
    pub fn kubeconfig(&self) -> PathBuf {
        self.credentials.admin_kubeconfig()
    }

    /// The key that tokens of service accounts are signed with: P-256, PKCS #8 in PEM.
    pub fn service_account_key(&self) -> PathBuf {
        self.credentials.path("sa.key")
    }

    /// What `ip netns` calls the network namespace.
    pub fn namespace_name(&self) -> &str {
        self.directory.name()
    }

    /// A directory that ends with the ground.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The API server.
    pub fn api_server(&self) -> &Server {
        &self.api_server
    }

    /// etcd.
    pub fn etcd(&self) -> &Server {
        &self.etcd
    }

    /// The controllers.
    pub fn controller_manager(&self) -> &Server {
        &self.controller_manager
    }

    /// Runs `work` on a thread inside the network namespace; what it starts, and sockets that it opens, are inside too.
    ///
    /// # Errors
    /// Where the namespace cannot be entered.
    ///
    /// # Panics
    /// Where `work` does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        self.namespace.run(work)
    }

    /// The same in the network of a process, such as one that [`Self::process_of`] tells of.
    ///
    /// # Errors
    /// Where there is no such process.
    ///
    /// # Panics
    /// Where `work` does.
    pub fn enter_network_of<T: Send>(process: u32, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        NetworkNamespace::open(format!("/proc/{process}/ns/net").as_ref())?.run(work)
    }

    /// Runs `work` inside, on a tokio runtime of one thread, with the administrator's client.
    ///
    /// # Errors
    /// Those of `work`, and where the namespace cannot be entered.
    ///
    /// # Panics
    /// Where `work` does.
    pub fn block_on<T: Send>(&self, work: impl AsyncFnOnce(Client) -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let kubeconfig = self.kubeconfig();
        self.enter(|| runtime()?.block_on(async { work(client(&kubeconfig).await?).await }))?
    }

    /// Starts `command` inside, with `KUBECONFIG` set.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn spawn(&self, mut command: Command) -> anyhow::Result<Process> {
        command.env("KUBECONFIG", self.kubeconfig());
        Process::start_in(&self.namespace, command)
    }

    /// Runs `command` inside to its end, with `KUBECONFIG` set, and gives what it wrote.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn run(&self, mut command: Command) -> anyhow::Result<Output> {
        command.env("KUBECONFIG", self.kubeconfig());
        let name = command.get_program().to_string_lossy().into_owned();
        die_with_thread(&mut command);
        self.enter(|| command.output())?.with_context(|| format!("{name} does not start"))
    }

    /// Starts a kubelet: Pods run from then on, until it is dropped. One at a time.
    ///
    /// # Errors
    /// Where a node cannot be registered.
    pub fn kubelet(&self, options: kubelet::Options) -> anyhow::Result<Kubelet> {
        let place = kubelet::Place {
            network: self.namespace.clone(),
            kubeconfig: self.kubeconfig(),
            directory: self.directory().join("pods"),
            credentials: Arc::clone(&self.credentials),
            count: Arc::clone(&self.pods),
        };
        Kubelet::start(place, options)
    }

    /// No Pod may be created in a Kubernetes namespace before that.
    fn wait_for_service_account(&self, namespace: &str) -> anyhow::Result<()> {
        self.block_on(async |client| {
            let accounts = Api::<ServiceAccount>::namespaced(client, namespace);
            let claim = async || Ok(accounts.get_opt("default").await?.map(drop));
            crate::until_async("the default service account", SERVICE_ACCOUNTS, claim).await
        })
    }
}

/// Whether a ground can be made here, as far as that is known without building anything.
///
/// # Errors
/// With what is missing.
pub fn check_machine() -> anyhow::Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    ensure!(is_root, "a ground needs root: it makes network, process and mount namespaces");
    let ip = Command::new("ip").arg("-Version").output();
    ensure!(ip.is_ok_and(|output| output.status.success()), "a ground needs the program ip: install iproute2");
    Ok(())
}

/// A client of whom the kubeconfig is; to be made on a thread inside.
///
/// # Errors
/// Where the kubeconfig cannot be read.
pub(crate) async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // A test wants to see what the server says, not what it says after 15 tries.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// # Errors
/// Where the system refuses what tokio needs.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn etcd(directory: &Directory, namespace: &NetworkNamespace) -> Server {
    let (path, inside) = (directory.path().to_owned(), namespace.clone());
    let is_ready = move || inside.run(|| TcpStream::connect(control_plane::ETCD).map(drop))?.context("etcd");
    Server::new("etcd", namespace.clone(), path.join("etcd.log"), move || control_plane::etcd(&path), is_ready)
}

fn api_server(
    directory: &Directory,
    namespace: &NetworkNamespace,
    credentials: &Arc<Credentials>,
    options: Options,
) -> Server {
    let log = directory.path().join("kube-apiserver.log");
    let (inside, kubeconfig) = (namespace.clone(), credentials.admin_kubeconfig());
    let credentials = Arc::clone(credentials);
    let command = move || {
        let mut command = control_plane::api_server(&credentials, &options.api_server_flags)?;
        command.envs(options.api_server_environment.iter().cloned());
        Ok(command)
    };
    let is_ready = move || inside.run(|| runtime()?.block_on(answers(&kubeconfig, "/readyz")))?;
    Server::new("kube-apiserver", namespace.clone(), log, command, is_ready)
}

fn controller_manager(directory: &Directory, namespace: &NetworkNamespace, credentials: &Arc<Credentials>) -> Server {
    let log = directory.path().join("kube-controller-manager.log");
    let credentials = Arc::clone(credentials);
    let inside = namespace.clone();
    let is_ready = move || inside.run(|| TcpStream::connect("127.0.0.1:10257").map(drop))?.context("its port");
    let command = move || control_plane::controller_manager(&credentials);
    Server::new("kube-controller-manager", namespace.clone(), log, command, is_ready)
}

async fn answers(kubeconfig: &Path, path: &str) -> anyhow::Result<()> {
    let request = http::Request::get(path).body(Vec::new())?;
    client(kubeconfig).await?.request_text(request).await?;
    Ok(())
}
