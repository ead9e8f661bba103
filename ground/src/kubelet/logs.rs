//! `/containerLogs/NAMESPACE/POD/CONTAINER` over HTTPS: where the API server fetches what `kubectl logs` shows.

use super::Shared;
use super::node::{Node, PORT};
use super::pod::container_set::{ContainerSet, Member};
use crate::credentials::Credentials;
use anyhow::Context as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

const HEAD: usize = 16 * 1024;
const FOLLOW: Duration = Duration::from_millis(100);

/// The file that the run of a container after so many restarts writes to.
pub(super) fn file(set: &ContainerSet, container: &str, restarts: u32) -> PathBuf {
    set.directory.join("logs").join(container).join(format!("{restarts}.log"))
}

/// A listener for the API server.
pub(super) struct Server {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

/// What a request wants.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    namespace: String,
    pod: String,
    container: String,
    /// The run before the present one.
    is_previous: bool,
    follows: bool,
    /// The last so many lines.
    tail: Option<usize>,
}

impl Server {
    /// # Errors
    /// Where the port is taken: by another kubelet in this ground.
    pub(super) async fn bind(credentials: &Credentials, nodes: &[Node]) -> anyhow::Result<Self> {
        let names: Vec<String> = nodes.iter().map(|node| node.address.to_string()).collect();
        let pair = credentials.certificate(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key)?;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await;
        let listener = listener.with_context(|| format!("port {PORT}: is there another kubelet?"))?;
        Ok(Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Answers for ever.
    pub(super) async fn serve(&self, shared: &Rc<Shared>) {
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = self.listener.accept().await else { continue };
            let (shared, acceptor) = (Rc::clone(shared), self.acceptor.clone());
            connections.spawn_local(async move {
                // The API server tells its client that the answer broke off.
                drop(answer(&shared, acceptor.accept(stream).await?).await);
                anyhow::Ok(())
            });
            while connections.try_join_next().is_some() {}
        }
    }
}

async fn answer(shared: &Shared, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head);
    let wanted = head.split(' ').nth(1).and_then(Wanted::parse);
    let found = wanted.as_ref().and_then(|wanted| Some((wanted, find(shared, wanted)?)));
    let Some((wanted, (set, member))) = found else {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\nConnection: close\r\n\r\nno such container here";
        stream.write_all(answer.as_bytes()).await?;
        return Ok(stream.shutdown().await?);
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    write_log(&mut stream, wanted, &set, &member).await?;
    Ok(stream.shutdown().await?)
}

fn find(shared: &Shared, wanted: &Wanted) -> Option<(Rc<ContainerSet>, Rc<Member>)> {
    let key = (wanted.namespace.clone(), wanted.pod.clone());
    let set = shared.running.borrow().get(&key).cloned()?;
    let member = set.members.iter().find(|member| member.spec.name == wanted.container).cloned()?;
    Some((set, member))
}

async fn write_log(
    stream: &mut (impl AsyncWrite + Unpin),
    wanted: &Wanted,
    set: &ContainerSet,
    member: &Member,
) -> anyhow::Result<()> {
    let restarts = member.restarts.get();
    let Some(number) = restarts.checked_sub(u32::from(wanted.is_previous)) else { return Ok(()) };
    let Ok(mut log) = File::open(file(set, &member.spec.name, number)).await else { return Ok(()) };
    let mut text = Vec::new();
    log.read_to_end(&mut text).await?;
    stream.write_all(tail(&text, wanted.tail)).await?;
    stream.flush().await?;
    if !wanted.follows {
        return Ok(());
    }
    loop {
        // Asked before the rest is read: what it wrote at its end is not to be missed.
        let is_over = member.running().is_none() || member.restarts.get() != number;
        text.clear();
        log.read_to_end(&mut text).await?;
        stream.write_all(&text).await?;
        stream.flush().await?;
        if is_over {
            return Ok(());
        }
        sleep(FOLLOW).await;
    }
}

fn tail(text: &[u8], lines: Option<usize>) -> &[u8] {
    let Some(lines) = lines else { return text };
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    let start = match lines {
        0 => text.len(),
        lines => ends.into_iter().nth(lines - 1).map_or(0, |at| at + 1),
    };
    text.get(start..).unwrap_or_default()
}

impl Wanted {
    fn parse(target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut parts = path.strip_prefix("/containerLogs/")?.split('/').map(str::to_owned);
        let mut wanted =
            Self { namespace: parts.next()?, pod: parts.next()?, container: parts.next()?, ..Self::default() };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "previous" => wanted.is_previous = value == "true",
                "follow" => wanted.follows = value == "true",
                "tailLines" => wanted.tail = value.parse().ok(),
                _ => {}
            }
        }
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_container_and_what_of_its_log() {
        let wanted = Wanted::parse("/containerLogs/shop/web-0/main?follow=true&tailLines=5&previous=true");
        let expected = Wanted {
            namespace: "shop".to_owned(),
            pod: "web-0".to_owned(),
            container: "main".to_owned(),
            is_previous: true,
            follows: true,
            tail: Some(5),
        };
        assert_eq!(wanted, Some(expected));
        assert_eq!(Wanted::parse("/containerLogs/shop/web-0"), None);
        assert_eq!(Wanted::parse("/pods"), None);
    }

    #[test]
    fn a_tail_is_whole_lines() {
        let text = b"one\ntwo\nthree\n";
        for (lines, expected) in [
            (None, "one\ntwo\nthree\n"),
            (Some(0), ""),
            (Some(1), "three\n"),
            (Some(2), "two\nthree\n"),
            (Some(3), "one\ntwo\nthree\n"),
            (Some(9), "one\ntwo\nthree\n"),
        ] {
            assert_eq!(tail(text, lines), expected.as_bytes(), "{lines:?}");
        }
        assert_eq!(tail(b"no end", Some(1)), b"no end");
    }
}
