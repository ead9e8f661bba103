//! Clients of the API server: HTTP/2 with a sign of life, a limit for the head of every answer, and never so many
//! watches on one connection that one of them waits for another to end.

#[cfg(test)]
mod tests;

use super::access::{Access, AccessError};
use super::fault;
use super::requests::{Observer, RequestObserver};
use super::token::TokenFile;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::middleware::AuthLayer;
use kube::client::{Body, ConfigExt};
use kube::config::AuthInfo;
use kube::{Client, Config};
use rustls::pki_types::ServerName;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tower::timeout::TimeoutLayer;
use tower::util::{AndThenLayer, MapRequestLayer};
use tower::{BoxError, ServiceBuilder};

/// Until a connection is made; also the time between signs of life of one whose peer says nothing.
const CONNECT: Duration = Duration::from_secs(5);
/// Without a frame for this long an HTTP/2 connection is pinged, and given up after as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const TCP_PROBES: u32 = 3;
/// Until the head of an answer is there. The body of a watch has no end.
const HEAD: Duration = Duration::from_secs(15);
/// An API server takes 100 streams a connection, and says nothing of the next one.
const WATCHES: usize = 80;

/// Makes clients of one API server. Clones are the same.
#[derive(Clone)]
pub struct Clients {
    stack: Arc<Stack>,
    calls: Client,
    watches: Arc<Mutex<Vec<Group>>>,
}

/// Watches that share a connection.
struct Group {
    client: Client,
    places: Vec<Weak<()>>,
}

/// A client for one watch, on a connection with others.
#[derive(Clone)]
pub(crate) struct WatchClient {
    client: Client,
    _place: Arc<()>,
}

/// What every connection is made with.
struct Stack {
    config: Config,
    /// Other credentials than a token file and a client certificate.
    auth: Option<AuthLayer>,
    token: Option<Arc<TokenFile>>,
    connector: HttpsConnector<HttpConnector>,
    observer: Observer,
}

impl Clients {
    /// Reads the configuration and credentials of `access`. Nothing is sent yet; later `observer` is told of each request.
    ///
    /// # Errors
    /// Where one of them is missing or cannot be used; the message names it.
    pub async fn new(access: &Access, observer: Arc<dyn RequestObserver>) -> Result<Self, AccessError> {
        let config = access.load().await?;
        let server = config.cluster_url.to_string();
        let observer = Observer::new(observer, &config.cluster_url);
        // A plugin for credentials is a program that is waited for.
        let stack = tokio::task::spawn_blocking(move || Stack::new(config, observer)).await;
        let stack = match stack {
            Ok(Ok(stack)) => Arc::new(stack),
            Ok(Err(reason)) => return Err(AccessError::Credentials { server, reason }),
            Err(error) => return Err(AccessError::Credentials { server, reason: error.to_string() }),
        };
        let calls = stack.client().map_err(|reason| AccessError::Credentials { server, reason })?;
        Ok(Self { stack, calls, watches: Arc::default() })
    }

    /// The client for all that is not a watch: it never waits behind one.
    #[must_use]
    pub fn calls(&self) -> Client {
        self.calls.clone()
    }

    /// A client for one more watch.
    ///
    /// # Errors
    /// Where no client can be made.
    pub(crate) fn watch(&self) -> Result<WatchClient, String> {
        let mut groups = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups.iter_mut() {
            group.places.retain(|place| place.strong_count() > 0);
        }
        groups.retain(|group| !group.places.is_empty());
        let place = Arc::new(());
        if let Some(group) = groups.iter_mut().find(|group| group.places.len() < WATCHES) {
            group.places.push(Arc::downgrade(&place));
            return Ok(WatchClient { client: group.client.clone(), _place: place });
        }
        let client = self.stack.client()?;
        groups.push(Group { client: client.clone(), places: vec![Arc::downgrade(&place)] });
        Ok(WatchClient { client, _place: place })
    }

    /// The API server's URL.
    #[must_use]
    pub fn server(&self) -> String {
        self.stack.config.cluster_url.to_string().trim_end_matches('/').to_owned()
    }

    /// The namespace of the Pod or of the kubeconfig's context.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.stack.config.default_namespace
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("server", &self.server()).finish_non_exhaustive()
    }
}

impl std::ops::Deref for WatchClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Stack {
    fn new(config: Config, observer: Observer) -> Result<Self, String> {
        let plugin = config.auth_info.exec.as_ref().and_then(|plugin| plugin.command.clone());
        let plugin = plugin.map(|command| format!("{command}: ")).unwrap_or_default();
        let token = match token_file(&config.auth_info).map(TokenFile::open) {
            Some(Err(reason)) if config.auth_info.token.is_some() => {
                tracing::warn!("{reason}; the token beside it is used");
                None
            }
            opened => opened.transpose()?.map(Arc::new),
        };
        let auth = match token {
            Some(_) => None,
            None => config.auth_layer().map_err(|error| format!("{plugin}{}", fault::explain(&error)))?,
        };
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        http.set_keepalive(Some(KEEP_ALIVE));
        http.set_keepalive_interval(Some(CONNECT));
        http.set_keepalive_retries(Some(TCP_PROBES));
        let tls = config.rustls_client_config().map_err(|error| fault::explain(&error))?;
        let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        if let Some(name) = &config.tls_server_name {
            let name =
                ServerName::try_from(name.clone()).map_err(|error| format!("tls-server-name {name}: {error}"))?;
            builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let connector = builder.enable_all_versions().wrap_connector(http);
        Ok(Self { config, auth, token, connector, observer })
    }

    /// A client with connections of its own.
    fn client(&self) -> Result<Client, String> {
        let mut builder = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .http2_keep_alive_while_idle(true);
        let token = self.token.clone();
        let token = token.map(|token| MapRequestLayer::new(move |request| token.authorize(request)));
        let service = ServiceBuilder::new()
            .layer(self.config.base_uri_layer())
            .option_layer(self.auth.as_ref())
            .option_layer(token)
            .layer(self.config.extra_headers_layer().map_err(|error| fault::explain(&error))?)
            .layer(AndThenLayer::new(fault::not_busy))
            .layer_fn(|service| self.observer.around(service))
            .layer(TimeoutLayer::new(HEAD))
            .map_err(BoxError::from)
            .service(builder.build::<_, Body>(self.connector.clone()));
        Ok(Client::new(service, self.config.default_namespace.clone()))
    }
}

/// The token file that is used. It comes before a token beside it, as with `kubectl` (`AuthInfo` of client-go).
fn token_file(auth: &AuthInfo) -> Option<PathBuf> {
    let is_other = auth.auth_provider.is_some() || auth.username.is_some();
    auth.token_file.as_ref().filter(|path| !is_other && !path.is_empty()).map(PathBuf::from)
}
