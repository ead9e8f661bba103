//! One GET, over clear text or over TLS with any certificate, as far as the status.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::HTTPGetAction;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, crypto};

/// The longest status line that is read, in bytes.
const LINE: u64 = 1024;

/// The status of the answer.
///
/// # Errors
/// Where none comes.
pub(super) async fn get(address: SocketAddr, action: &HTTPGetAction) -> anyhow::Result<u16> {
    let stream = TcpStream::connect(address).await?;
    if action.scheme.as_deref() == Some("HTTPS") {
        let stream = TlsConnector::from(Arc::new(any_certificate()?)).connect(address.ip().into(), stream).await?;
        ask(stream, address, action).await
    } else {
        ask(stream, address, action).await
    }
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    address: SocketAddr,
    action: &HTTPGetAction,
) -> anyhow::Result<u16> {
    let path = action.path.as_deref().filter(|path| !path.is_empty()).unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("GET {slash}{path} HTTP/1.1\r\n");
    let given = action.http_headers.iter().flatten();
    if !given.clone().any(|header| header.name.eq_ignore_ascii_case("host")) {
        head += &format!("Host: {address}\r\n");
    }
    for header in given {
        head += &format!("{}: {}\r\n", header.name, header.value);
    }
    head += "User-Agent: kube-probe/1.37\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream).take(LINE).read_line(&mut line).await?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.with_context(|| format!("no HTTP answer: {line:?}"))
}

fn any_certificate() -> Result<ClientConfig, Error> {
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// A kubelet does not ask whose certificate a container has.
#[derive(Debug)]
struct AnyCertificate(Arc<crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
