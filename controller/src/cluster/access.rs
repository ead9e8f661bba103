//! Where the API server is and who we are to it: a kubeconfig that was named, or the Pod's own service account.
//! Nothing is guessed: a file in somebody's home directory is used only if it is asked for.

#[cfg(test)]
mod tests;

use crate::Printable;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The token of a Pod's service account, where the kubelet mounts it.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The configuration that a client of the API server is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// The service account of the Pod that this program runs in.
    InCluster,
    /// Files as `kubectl` reads them, the first one first.
    Kubeconfig {
        /// The files, at least one.
        paths: Vec<PathBuf>,
        /// The context; `None`: the current one.
        context: Option<String>,
    },
}

/// Why there is no access to an API server.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Nothing says where it is.
    #[error(
        "no cluster is given: name manifests with --manifests DIR or a cluster with --kubeconfig FILE (or the variable \
         KUBECONFIG); in a Pod the service account is used, but the variable KUBERNETES_SERVICE_HOST is not set here"
    )]
    Nowhere,
    /// A context of nothing.
    #[error("--context {0} chooses from a kubeconfig, and none is given: name one with --kubeconfig FILE")]
    ContextAlone(String),
    /// The Pod has no token.
    #[error(
        "no access as a Pod: {}: {error}: the Pod's service account has to be mounted (automountServiceAccountToken: true)",
        path.display()
    )]
    NoToken {
        /// Where it is to be.
        path: PathBuf,
        /// Why it cannot be had.
        error: String,
    },
    /// The Pod has no usable service account.
    #[error("no access as a Pod: {0}")]
    InCluster(String),
    /// A file cannot be used.
    #[error("{}: {reason}", Printable(path.display()))]
    File {
        /// As it was named.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What the files say together is not enough.
    #[error("kubeconfig {}: {error}", Printable(join(paths)))]
    Unusable {
        /// As they were named.
        paths: Vec<PathBuf>,
        /// Why not.
        error: Box<KubeconfigError>,
    },
    /// There is no such context.
    #[error("kubeconfig {}: there is no context {context}; there are: {}", Printable(join(paths)), known.join(", "))]
    NoContext {
        /// As the files were named.
        paths: Vec<PathBuf>,
        /// As it was named.
        context: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The API server is behind a proxy.
    #[error(
        "kubeconfig {}: proxy-url is not supported; give a cluster that can be reached directly",
        Printable(join(paths))
    )]
    ProxyUrl {
        /// As the files were named.
        paths: Vec<PathBuf>,
    },
    /// The credentials or certificates cannot be used.
    #[error("credentials for {server}: {reason}")]
    Credentials {
        /// The API server's URL.
        server: String,
        /// Why not.
        reason: String,
    },
}

fn join(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":")
}

impl Access {
    /// The access that flags and the environment name: `kubeconfig`, else `KUBECONFIG`, else the Pod's.
    ///
    /// # Errors
    /// Where none is named, or a context without a kubeconfig.
    pub fn find(kubeconfig: Option<PathBuf>, context: Option<String>) -> Result<Self, AccessError> {
        Self::choose(
            kubeconfig,
            context,
            std::env::var_os("KUBECONFIG").as_deref(),
            std::env::var_os("KUBERNETES_SERVICE_HOST").as_deref(),
        )
    }

    fn choose(
        kubeconfig: Option<PathBuf>,
        context: Option<String>,
        variable: Option<&OsStr>,
        service_host: Option<&OsStr>,
    ) -> Result<Self, AccessError> {
        let listed =
            || variable.into_iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty());
        let paths: Vec<_> = kubeconfig.map_or_else(|| listed().collect(), |path| vec![path]);
        match context {
            context if !paths.is_empty() => Ok(Self::Kubeconfig { paths, context }),
            Some(context) => Err(AccessError::ContextAlone(context)),
            None if service_host.is_some_and(|host| !host.is_empty()) => Ok(Self::InCluster),
            None => Err(AccessError::Nowhere),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// Where something is missing, cannot be read, or is not supported; the message names it.
    pub(super) async fn load(&self) -> Result<Config, AccessError> {
        match self {
            Self::InCluster => {
                has_token(Path::new(TOKEN))?;
                // The error's text has those of its causes already.
                Config::incluster().map_err(|error| AccessError::InCluster(error.to_string()))
            }
            Self::Kubeconfig { paths, context } => load_kubeconfig(paths, context.as_deref()).await,
        }
    }
}

/// Where nothing is mounted the kubelet's other files are missing too, of which an error of these would speak.
fn has_token(path: &Path) -> Result<(), AccessError> {
    let found = path.metadata().map(|_| ());
    found.map_err(|error| AccessError::NoToken { path: path.to_owned(), error: error.to_string() })
}

async fn load_kubeconfig(paths: &[PathBuf], context: Option<&str>) -> Result<Config, AccessError> {
    let unusable = |error| AccessError::Unusable { paths: paths.to_vec(), error: Box::new(error) };
    let mut all = Kubeconfig::default();
    for path in paths {
        let one = read(path)?;
        all = all.merge(one).map_err(unusable)?;
    }
    if let Some(context) = context.or(all.current_context.as_deref())
        && !all.contexts.iter().any(|known| known.name == context)
    {
        let known = all.contexts.iter().map(|known| known.name.clone()).collect();
        return Err(AccessError::NoContext { paths: paths.to_vec(), context: context.to_owned(), known });
    }
    let options = KubeConfigOptions { context: context.map(str::to_owned), cluster: None, user: None };
    let config = Config::from_custom_kubeconfig(all, &options).await.map_err(unusable)?;
    if config.proxy_url.is_some() {
        return Err(AccessError::ProxyUrl { paths: paths.to_vec() });
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Kubeconfig, AccessError> {
    Kubeconfig::read_from(path).map_err(|error| {
        let reason = match error {
            // Its text has the path once more.
            KubeconfigError::ReadConfig(error, _) => error.to_string(),
            error => error.to_string(),
        };
        AccessError::File { path: path.to_owned(), reason }
    })
}
