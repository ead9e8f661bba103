//! TLS on both sides of the proxy, with certificates of nobody.

use super::{Client, PATIENCE, Running, Upstream};
use config::{EndpointAddress, Trust, UpstreamTls};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::sync::Arc;
use tidegate_proxy::tls::upstream::{UpstreamAlpn, UpstreamTlsConfigs};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, client, server};

/// TLS to endpoints whose certificate nobody looks at.
pub(crate) fn any_certificate() -> UpstreamTls {
    UpstreamTls { server_name: None, trust: Trust::Any }
}

/// The certificate and the application protocols of an upstream.
pub(crate) fn acceptor(alpn: &[&str]) -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["backend.test".to_owned()]).expect("certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let mut config =
        config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into()).expect("key");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

impl Running {
    /// A TLS connection to `a.test` that offers HTTP/2, or HTTP/1.1 alone.
    pub(crate) async fn tls(&self, alpn: UpstreamAlpn) -> client::TlsStream<TcpStream> {
        let mut configs = UpstreamTlsConfigs::new().expect("configs");
        let address = EndpointAddress::Socket(self.https);
        let named = UpstreamTls { server_name: Some("a.test".into()), ..any_certificate() };
        let (connector, name) = configs.connector(&named, alpn, &address).expect("connector");
        let socket = TcpStream::connect(self.https).await.expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        timeout(PATIENCE, connector.connect(name, socket)).await.expect("no handshake").expect("handshake")
    }
}

impl Upstream {
    /// The next connection, once its handshake is done.
    pub(crate) async fn accept_tls(&self, acceptor: &TlsAcceptor) -> Client<server::TlsStream<TcpStream>> {
        let socket = self.accept().await.socket;
        Client::over(timeout(PATIENCE, acceptor.accept(socket)).await.expect("no handshake").expect("handshake"))
    }
}
