//! Certificates of `tls://` and `https://` listeners, from files that are looked at again: what a Secret is mounted as.

use crate::certificates::{authorities, certificates, private_key};
use crate::file::{self, Fault, Seen, Stamp};
use crate::plan::{ClientAuth, ServerTls, Transport};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// How connections are secured.
pub(crate) struct Secured {
    files: ServerTls,
    transport: Transport,
    config: ArcSwap<ServerConfig>,
    /// What the files of `config` were, or of what could not be used since; `None`: one that cannot be looked at.
    seen: Mutex<Seen<Vec<Option<Stamp>>>>,
}

impl Secured {
    /// # Errors
    /// A file cannot be read, or they do not fit together; the message names them.
    pub(super) fn new(files: &ServerTls, transport: Transport) -> io::Result<Self> {
        // Before they are read: a change in between is seen later.
        let seen = Mutex::new(Seen::new(Some(seen(files))));
        let config = config(files, transport).map_err(|why| io::Error::other(format!("tls: {why}")))?;
        Ok(Self { files: files.clone(), transport, config: ArcSwap::from_pointee(config), seen })
    }

    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Looks at the files again and again; connections that are open keep what they began with.
    pub(super) async fn watch(self: Arc<Self>) {
        let path = self.files.certificate.clone();
        file::watch(self, LOOK, path, Self::look).await;
    }

    /// Reads the files if they have changed. Blocks while it does.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let news = seen.news(self::seen(&self.files), || {
            // One that is bad may wait for the other one of its pair.
            let config = config(&self.files, self.transport).map_err(Fault::Unread)?;
            self.config.store(Arc::new(config));
            Ok(())
        });
        match news {
            None => {}
            Some(Ok(())) => info!(file = self.files.certificate, "a new certificate is shown"),
            Some(Err(why)) => warn!(%why, "the certificate that was shown before still is"),
        }
    }
}

impl std::fmt::Debug for Secured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secured").field("files", &self.files).finish_non_exhaustive()
    }
}

fn seen(files: &ServerTls) -> Vec<Option<Stamp>> {
    let paths = [&files.certificate, &files.key].into_iter().chain(&files.authorities);
    paths.map(|path| Stamp::of(path).ok()).collect()
}

fn config(files: &ServerTls, transport: Transport) -> Result<ServerConfig, String> {
    let ServerTls { certificate, key, authorities: path, client } = files;
    let chain = certificates(certificate)?;
    let private = private_key(key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = if client.is_verified() {
        let roots = Arc::new(authorities(path.as_deref())?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
        let verifier = match client {
            ClientAuth::VerifyIfGiven => verifier.allow_unauthenticated(),
            _ => verifier,
        };
        builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
    } else {
        // Nothing is done with certificates that nobody verifies.
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(chain, private);
    let mut config = config.map_err(|error| format!("{certificate}, {key}: {error}"))?;
    let protocols: &[&[u8]] = match transport {
        Transport::Https => &[b"h2", b"http/1.1"],
        // RFC 7858 has no name for itself; clients that send one send this.
        Transport::Dns | Transport::Tls => &[b"dot"],
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}
