//! An authority of certificates, and servers that show what it has issued.

use crate::harness::*;
use hyper::body::Body;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tidegate_dns::Bounds;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority, and a directory for what it issues.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Writes what the server is to show as a kubelet does with a Secret that is mounted: the files are links through
    /// `..data`, a link to a folder that is new each time, which is replaced at once; the folder before goes then.
    pub(crate) fn mount(&self, name: &str) {
        let (certificate, key) = self.issue(name);
        let (folder, data) = (format!("..{name}"), self.path().join("..data"));
        std::fs::create_dir(self.path().join(&folder)).unwrap();
        for (file, text) in [("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())] {
            std::fs::write(self.path().join(&folder).join(file), text).unwrap();
        }
        let before = std::fs::read_link(&data).ok();
        symlink(&folder, self.path().join("..data_tmp")).unwrap();
        std::fs::rename(self.path().join("..data_tmp"), &data).unwrap();
        match before {
            Some(before) => std::fs::remove_dir_all(self.path().join(before)).unwrap(),
            None => ["tls.crt", "tls.key"]
                .iter()
                .for_each(|file| symlink(format!("..data/{file}"), self.path().join(file)).unwrap()),
        }
    }

    /// Connects; the server must be called `name`.
    pub(crate) async fn connect(
        &self,
        server: &Running,
        name: &str,
        protocols: &[&str],
        own: Option<&str>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.secure(server.connect().await, name, protocols, own).await
    }

    /// Connects to dns.test for requests of HTTP/2, and what carries them.
    pub(crate) async fn connect_h2<B>(&self, server: &Running) -> (SendRequest<B>, JoinHandle<hyper::Result<()>>)
    where
        B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin + Send + 'static,
    {
        let stream = self.connect(server, "dns.test", &["h2"], None).await.unwrap();
        let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        (client, tokio::spawn(connection))
    }

    /// [`Self::connect`] over a connection that is there.
    pub(crate) async fn secure(
        &self,
        stream: TcpStream,
        name: &str,
        protocols: &[&str],
        own: Option<&str>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (certificate, key) = self.issue(own);
                let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
                let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// Starts a server at `scheme`, for which the authority has mounted something.
pub(crate) fn start_secured(scheme: &str, authority: &Authority, more: &str) -> Running {
    start_secured_bounded(scheme, authority, more, Bounds::default())
}

pub(crate) fn start_secured_bounded(scheme: &str, authority: &Authority, more: &str, bounds: Bounds) -> Running {
    let path = authority.path().display();
    let tls = format!("tls {path}/tls.crt {path}/tls.key {path}/ca.crt");
    start_corefile_over(
        scheme,
        &format!("{scheme}://.:PORT {{\n bind 127.0.0.1\n {tls} {more}\n kubernetes cluster.local\n}}\n"),
        bounds,
    )
}
