//! Where a request came from, told to the backend: facts, or what a trusted proxy in front says.

use crate::downstream::{Downstream, canonical_ip};
use crate::fields::{FieldName, Fields};
use crate::request::Request;
use ipnet::IpNet;
use std::borrow::Cow;
use std::net::IpAddr;

/// The `X-Forwarded-*` family of one request; what nobody claims is borrowed from its connection.
#[derive(Debug)]
pub(crate) struct Provenance<'d> {
    pub(crate) is_trusted: bool,
    /// The client's address: the peer's, or the last one in `X-Forwarded-For` that is no trusted proxy.
    pub(crate) client: IpAddr,
    /// `http` or `https`, as the client spoke it.
    pub(crate) proto: &'static str,
    pub(crate) request_id: String,
    forwarded_for: Cow<'d, [u8]>,
    host: Option<Box<[u8]>>,
    port_text: Cow<'d, str>,
    client_text: Cow<'d, str>,
}

impl<'d> Provenance<'d> {
    /// Reads what the peer may say; `fresh_id` is for a request that brings no id of its own.
    pub(crate) fn of(request: &Request, downstream: &'d Downstream, trusted: &[IpNet], fresh_id: String) -> Self {
        let peer = canonical_ip(downstream.peer);
        let facts = Self {
            is_trusted: downstream.is_trusted,
            client: peer,
            proto: downstream.scheme(),
            request_id: fresh_id,
            forwarded_for: Cow::Borrowed(downstream.peer_text.as_bytes()),
            host: None,
            port_text: Cow::Borrowed(&downstream.port_text),
            client_text: Cow::Borrowed(&downstream.peer_text),
        };
        if downstream.is_trusted { facts.with_claims(&request.fields, trusted) } else { facts }
    }

    fn with_claims(mut self, fields: &Fields, trusted: &[IpNet]) -> Self {
        let hops: Vec<&[u8]> = fields.all(FieldName::XForwardedFor).collect();
        if !hops.is_empty() {
            let list = hops.join(&b", "[..]);
            let addresses = list.rsplit(|&byte| byte == b',').map_while(address_of);
            let is_proxy = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
            let mut last = self.client;
            for address in addresses {
                last = address;
                if !is_proxy(&address) {
                    break;
                }
            }
            self.client = last;
            self.client_text = last.to_string().into();
            self.forwarded_for = [&list[..], b", ", &self.forwarded_for].concat().into();
        }
        let first = |name| fields.first(name).and_then(|value| value.split(|&byte| byte == b',').next());
        match first(FieldName::XForwardedProto).map(|proto| proto.trim_ascii().to_ascii_lowercase()).as_deref() {
            Some(b"https") if self.proto != "https" => (self.proto, self.port_text) = ("https", "443".into()),
            Some(b"http") if self.proto != "http" => (self.proto, self.port_text) = ("http", "80".into()),
            _ => {}
        }
        let port = first(FieldName::XForwardedPort).and_then(|port| std::str::from_utf8(port).ok());
        if let Some(port) = port.and_then(|port| port.trim().parse::<u16>().ok()) {
            self.port_text = port.to_string().into();
        }
        let host = first(FieldName::XForwardedHost).map(<[u8]>::trim_ascii).filter(|host| !host.is_empty());
        self.host = host.map(Into::into);
        let id = first(FieldName::XRequestId).and_then(|id| std::str::from_utf8(id).ok());
        if let Some(id) =
            id.filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            self.request_id = id.to_owned();
        }
        self
    }

    /// The fields that the backend gets.
    pub(crate) fn fields<'p>(&'p self, authority: &'p [u8]) -> impl Iterator<Item = (&'static str, &'p [u8])> {
        let host = self.host.as_deref().unwrap_or(authority);
        [
            ("X-Forwarded-For", &self.forwarded_for[..]),
            ("X-Forwarded-Host", host),
            ("X-Forwarded-Port", self.port_text.as_bytes()),
            ("X-Forwarded-Proto", self.proto.as_bytes()),
            ("X-Real-IP", self.client_text.as_bytes()),
            ("X-Request-ID", self.request_id.as_bytes()),
        ]
        .into_iter()
    }
}

/// One element of `X-Forwarded-For`; a port behind the address is dropped.
fn address_of(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}
