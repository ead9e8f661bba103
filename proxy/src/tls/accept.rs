//! The handshake with a client: the same for all, or, where any host asks for client certificates, chosen by server name.

use super::{ServerTls, TlsFacts};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

impl ServerTls {
    /// Takes a client's connection; what is known of it stands beside.
    ///
    /// # Errors
    /// What [`super::HandshakeFailure`] tells apart.
    pub async fn accept<S>(&self, socket: S) -> io::Result<(TlsStream<S>, TlsFacts)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(client_auth) = self.client_auth.load_full() else {
            let stream = TlsAcceptor::from(Arc::clone(&self.config)).accept(socket).await?;
            let facts = TlsFacts::of(stream.get_ref().1);
            return Ok((stream, facts));
        };
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), socket).await?;
        let verifier = client_auth.find(hello.client_hello().server_name());
        let config = verifier.and_then(|verifier| verifier.config()).unwrap_or(&self.config);
        let stream = hello.into_stream(Arc::clone(config)).await?;
        let connection = stream.get_ref().1;
        let client = verifier.map(|verifier| verifier.judge(connection)).unwrap_or_default();
        let facts = TlsFacts { client, ..TlsFacts::of(connection) };
        Ok((stream, facts))
    }
}
