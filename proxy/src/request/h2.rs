//! Requests of HTTP/2, whose malformed heads the h2 crate has reset already (RFC 9113 §8.1.1).

use super::{BodyLength, ConnectionOptions, Method, Refusal, Request, Target, framing::Framing};
use crate::fields::{FieldName, Fields};
use crate::limits::Limits;
use crate::record::Version;
use bytes::Bytes;
use config::{CanonicalPath, Host, PathSettings};
use http::request::Parts;

/// The `:protocol` of an extended CONNECT (RFC 8441 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    WebSocket,
    Other,
}

impl Request {
    /// Reads a head; `has_body` is false where the head ended the stream.
    pub(crate) fn from_h2(
        parts: &Parts,
        has_body: bool,
        paths: PathSettings,
        limits: &Limits,
        default_port: u16,
    ) -> Result<Self, Refusal> {
        if parts.headers.len() > limits.fields {
            return Err(Refusal::HEAD_TOO_LARGE);
        }
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        if path.len() > limits.request_line {
            return Err(Refusal::TARGET_TOO_LONG);
        }
        let protocol = parts.extensions.get::<::h2::ext::Protocol>().map(|protocol| match protocol.as_str() {
            "websocket" => Protocol::WebSocket,
            _ => Protocol::Other,
        });
        let method = Method::of(parts.method.as_str().as_bytes());
        match (method, protocol) {
            (Method::Connect, Some(Protocol::WebSocket)) => {}
            (Method::Connect, Some(Protocol::Other)) => return Err(Refusal::PROTOCOL),
            (Method::Connect | Method::Trace, _) => return Err(Refusal::METHOD),
            _ => {}
        }
        let fields = Fields::from_map(&parts.headers).map_err(|_| Refusal::HEAD_TOO_LARGE)?;
        let is_padded = |value: &[u8]| value.trim_ascii().len() != value.len();
        if fields.iter().any(|field| is_padded(field.value)) {
            return Err(Refusal::BAD_REQUEST);
        }
        let (host, authority) = host_of(parts, &fields, default_port)?;
        let target = match path {
            "*" if method == Method::Options => Target::Asterisk,
            path => Target::Path(CanonicalPath::parse(path.as_bytes(), paths).map_err(|_| Refusal::BAD_PATH)?),
        };
        let body = match Framing::parse(&fields, Version::Http2).map_err(|_| Refusal::BAD_REQUEST)? {
            _ if !has_body => BodyLength::None,
            Framing::Length(length) => BodyLength::Known(length),
            Framing::Absent | Framing::Chunked => BodyLength::Unknown,
        };
        let is_websocket = protocol == Some(Protocol::WebSocket);
        // What follows an extended CONNECT is no body.
        let expects_continue = super::expectation(&fields)? && body != BodyLength::None && !is_websocket;
        let (method, method_name) = if is_websocket {
            (Method::Get, Bytes::from_static(b"GET"))
        } else {
            (method, Bytes::copy_from_slice(parts.method.as_str().as_bytes()))
        };
        Ok(Self {
            version: Version::Http2,
            method,
            method_name,
            target,
            host: Some(host),
            authority,
            body: if is_websocket { BodyLength::None } else { body },
            options: ConnectionOptions::default(),
            is_websocket,
            expects_continue,
            fields,
        })
    }
}

/// `:authority`, or the Host field where there is none; both only if they agree (RFC 9113 §8.3.1).
fn host_of(parts: &Parts, fields: &Fields, default_port: u16) -> Result<(Host, Bytes), Refusal> {
    let mut lines = fields.all(FieldName::Host);
    let (line, another) = (lines.next(), lines.next());
    if another.is_some() {
        return Err(Refusal::BAD_HOST);
    }
    let parse = |authority: &[u8]| Host::parse(authority).map_err(|_| Refusal::BAD_HOST);
    match (parts.uri.authority(), line) {
        (Some(authority), line) => {
            let host = parse(authority.as_str().as_bytes())?;
            if let Some(line) = line
                && !parse(line)?.is_same(&host, default_port)
            {
                return Err(Refusal::BAD_HOST);
            }
            Ok((host, Bytes::copy_from_slice(authority.as_str().as_bytes())))
        }
        (None, Some(line)) => Ok((parse(line)?, fields.shared(line))),
        (None, None) => Err(Refusal::BAD_HOST),
    }
}
