//! A try's way to its upstream: our side of it, and why there was no answer, in the words that Go has for it, since
//! patterns of `errors` in Corefiles are made for those.

use super::{Outbound, lock};
use crate::message::Transport;
use rustls::{CertificateError, Error};
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

/// Has its own address listed as long as it waits.
#[derive(Debug)]
pub(super) struct Link<'o> {
    outbound: &'o Outbound,
    /// `None`: there is no socket yet.
    own: Mutex<Option<(Transport, SocketAddr)>>,
}

impl<'o> Link<'o> {
    pub(super) fn new(outbound: &'o Outbound) -> Self {
        Self { outbound, own: Mutex::new(None) }
    }

    /// There is this socket now, and no other.
    pub(super) fn set(&self, own: Option<(Transport, SocketAddr)>) {
        let before = std::mem::replace(&mut *lock(&self.own), own);
        self.outbound.replace(before, own);
    }

    /// The same error with what was tried, and with whom.
    pub(super) fn told(&self, error: &io::Error, (transport, to): (Transport, SocketAddr)) -> io::Error {
        io::Error::new(error.kind(), self.words(error, (transport, to)))
    }

    fn words(&self, error: &io::Error, (transport, to): (Transport, SocketAddr)) -> String {
        if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref()) {
            return format!("{to}: {}", of_tls(error));
        }
        let network = match transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        let (tried, call) = match *lock(&self.own) {
            Some((_, local)) => (format!("read {network} {local}->{to}"), "read"),
            None => (format!("dial {network} {to}"), "connect"),
        };
        match error.kind() {
            _ if error.raw_os_error().is_some() => format!("{tried}: {call}: {}", of_system(error)),
            io::ErrorKind::TimedOut => format!("{tried}: i/o timeout"),
            io::ErrorKind::UnexpectedEof => format!("{tried}: EOF"),
            _ => format!("{tried}: {error}"),
        }
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.set(None);
    }
}

/// `connection refused`, where Rust says `Connection refused (os error 111)`.
fn of_system(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let first = text.chars().next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(text.chars().skip(1)).collect()
}

fn of_tls(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else { return format!("tls: {error}") };
    let why = match why {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            // `DnsName("dns.example")` and `IpAddress(192.0.2.1)`.
            let name = |name: &String| name.split(['(', ')', '"']).rfind(|part| !part.is_empty()).map(str::to_owned);
            let names: Vec<_> = presented.iter().filter_map(name).collect();
            let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("certificate is valid for {names}, not {}", expected.to_str())
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => format!("certificate has expired or is not yet valid: {why}"),
        other => other.to_string(),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}
