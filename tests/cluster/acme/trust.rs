//! TLS clients that trust one root.

use anyhow::Context as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// A connection to who proves that it is `host`.
///
/// # Errors
/// Where nobody does.
pub(super) fn connect(
    root: &CertificateDer<'static>,
    address: SocketAddr,
    host: &'static str,
) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from(host)?)?;
    let mut socket = TcpStream::connect(address)?;
    while client.is_handshaking() {
        client.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(client, socket))
}

/// The certificate that is shown for `host`.
///
/// # Errors
/// Where it does not lead to the root.
pub(super) fn shown(
    root: &CertificateDer<'static>,
    address: SocketAddr,
    host: &'static str,
) -> anyhow::Result<CertificateDer<'static>> {
    let stream = connect(root, address, host)?;
    let chain = stream.conn.peer_certificates().unwrap_or_default();
    chain.first().cloned().map(CertificateDer::into_owned).context("no certificate")
}
