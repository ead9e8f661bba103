//! The head that goes upstream: hop-by-hop fields removed, `X-Forwarded-*` rebuilt from facts, framing anew.
//! Written straight from the parsed head, once an attempt, so that attempts cannot change each other.

mod provenance;
#[cfg(test)]
mod tests;

pub(crate) use provenance::Provenance;

use crate::fields::{Field, FieldName};
use crate::request::{BodyLength, Method, Request, Target};
use h2::ext::Protocol;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// What the framing fields of the forwarded head say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadFraming {
    None,
    Length(u64),
    Chunked,
}

impl UploadFraming {
    /// The client's own length where it gave one; else chunks. A request that usually has a body says that it has none.
    pub(crate) fn of(request: &Request) -> Self {
        match request.body {
            BodyLength::Known(length) => Self::Length(length),
            BodyLength::Unknown => Self::Chunked,
            BodyLength::None if request.method.expects_body() => Self::Length(0),
            BodyLength::None => Self::None,
        }
    }
}

/// The client's fields that are forwarded as they are.
fn passed<'r>(request: &'r Request, provenance: &'r Provenance<'_>) -> impl Iterator<Item = Field<'r>> {
    use FieldName as Name;
    request.fields.iter().filter(move |field| match field.known {
        Name::Host
        | Name::ContentLength
        | Name::Expect
        | Name::Cookie
        | Name::ProxyAuthorization
        | Name::XForwardedFor
        | Name::XForwardedHost
        | Name::XForwardedPort
        | Name::XForwardedProto
        | Name::XRealIp
        | Name::XRequestId
        | Name::Spoof => false,
        // Carried anew where an upgrade or an extended CONNECT is.
        Name::SecWebSocketKey => !request.is_websocket || request.version != crate::record::Version::Http2,
        // Answered here when it is 0, else counted down.
        Name::MaxForwards => request.method != Method::Options,
        Name::Claim => provenance.is_trusted,
        name => !name.is_hop_by_hop() && !request.options.nominates(field.name),
    })
}

/// `Max-Forwards` of an OPTIONS request, less one (RFC 9110 §7.6.2).
fn max_forwards(request: &Request) -> Option<u64> {
    let value = request.fields.first(FieldName::MaxForwards).filter(|_| request.method == Method::Options)?;
    std::str::from_utf8(value).ok()?.parse::<u64>().ok()?.checked_sub(1)
}

/// HTTP/1.1 has one Cookie line; HTTP/2 may have crumbs (RFC 9113 §8.2.3).
fn cookie(request: &Request) -> Option<Vec<u8>> {
    let crumbs: Vec<&[u8]> = request.fields.all(FieldName::Cookie).collect();
    (!crumbs.is_empty()).then(|| crumbs.join(&b"; "[..]))
}

/// Writes the head of an HTTP/1.1 request.
pub(crate) fn write_h1(
    output: &mut Vec<u8>,
    request: &Request,
    provenance: &Provenance<'_>,
    framing: UploadFraming,
    websocket_key: Option<&str>,
) {
    output.extend_from_slice(&request.method_name);
    output.push(b' ');
    output.extend_from_slice(request.target.text().as_bytes());
    output.extend_from_slice(b" HTTP/1.1\r\n");
    let mut line = |name: &[u8], value: &[u8]| {
        output.extend_from_slice(name);
        output.extend_from_slice(b": ");
        output.extend_from_slice(value);
        output.extend_from_slice(b"\r\n");
    };
    line(b"Host", &request.authority);
    for field in passed(request, provenance) {
        line(field.name, field.value);
    }
    for (name, value) in provenance.fields(&request.authority) {
        line(name.as_bytes(), value);
    }
    if let Some(cookie) = cookie(request) {
        line(b"Cookie", &cookie);
    }
    if let Some(left) = max_forwards(request) {
        line(b"Max-Forwards", itoa::Buffer::new().format(left).as_bytes());
    }
    if request.expects_continue {
        line(b"Expect", b"100-continue");
    }
    if request.is_websocket {
        line(b"Connection", b"Upgrade");
        line(b"Upgrade", b"websocket");
    }
    if let Some(key) = websocket_key {
        line(b"Sec-WebSocket-Key", key.as_bytes());
        if !request.fields.iter().any(|field| field.name.eq_ignore_ascii_case(b"sec-websocket-version")) {
            line(b"Sec-WebSocket-Version", b"13");
        }
    }
    match framing {
        UploadFraming::None => {}
        UploadFraming::Length(length) => line(b"Content-Length", itoa::Buffer::new().format(length).as_bytes()),
        UploadFraming::Chunked => line(b"Transfer-Encoding", b"chunked"),
    }
    output.extend_from_slice(b"\r\n");
}

/// A head that HTTP/2 cannot carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotForH2;

/// The same head for HTTP/2; `scheme` is that of the upstream connection.
pub(crate) fn h2_request(
    request: &Request,
    provenance: &Provenance<'_>,
    framing: UploadFraming,
    scheme: &str,
) -> Result<http::Request<()>, NotForH2> {
    let mut map = HeaderMap::with_capacity(request.fields.len() + 8);
    let mut line = |name: &[u8], value: &[u8]| -> Result<(), NotForH2> {
        let name = HeaderName::from_bytes(name).map_err(|_| NotForH2)?;
        map.append(name, HeaderValue::from_bytes(value).map_err(|_| NotForH2)?);
        Ok(())
    };
    for field in passed(request, provenance) {
        line(field.name, field.value)?;
    }
    for (name, value) in provenance.fields(&request.authority) {
        line(name.as_bytes(), value)?;
    }
    if let Some(cookie) = cookie(request) {
        line(b"cookie", &cookie)?;
    }
    if let Some(left) = max_forwards(request) {
        line(b"max-forwards", itoa::Buffer::new().format(left).as_bytes())?;
    }
    if request.expects_continue {
        line(b"expect", b"100-continue")?;
    }
    if accepts_trailers(request) {
        line(b"te", b"trailers")?;
    }
    if let UploadFraming::Length(length) = framing {
        line(b"content-length", itoa::Buffer::new().format(length).as_bytes())?;
    }
    let authority: &[u8] = if request.authority.is_empty() { b"localhost" } else { &request.authority };
    let path = match &request.target {
        Target::Path(path) => h2_path(path.path_and_query()),
        Target::Asterisk => Cow::Borrowed("*"),
    };
    let uri = http::Uri::builder().scheme(scheme).authority(authority).path_and_query(&*path).build();
    let mut head = http::Request::new(());
    *head.version_mut() = http::Version::HTTP_2;
    *head.method_mut() = http::Method::from_bytes(&request.method_name).map_err(|_| NotForH2)?;
    *head.uri_mut() = uri.map_err(|_| NotForH2)?;
    *head.headers_mut() = map;
    Ok(head)
}

/// The head of an extended CONNECT for a WebSocket; what comes of it is a tunnel (RFC 8441 §5).
pub(crate) fn h2_connect(
    request: &Request,
    provenance: &Provenance<'_>,
    scheme: &str,
) -> Result<http::Request<()>, NotForH2> {
    let mut head = h2_request(request, provenance, UploadFraming::None, scheme)?;
    *head.method_mut() = http::Method::CONNECT;
    head.extensions_mut().insert(Protocol::from_static("websocket"));
    // HTTP/2 needs no proof that the handshake was read.
    head.headers_mut().remove(http::header::SEC_WEBSOCKET_KEY);
    Ok(head)
}

/// A canonical path and query as `http::Uri` takes it: `"`, `<` and `>`, which RFC 3986 §3.4 does not have in a query
/// but clients send, are percent-encoded. The path has none of them.
fn h2_path(path: &str) -> Cow<'_, str> {
    if !path.contains(['"', '<', '>']) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(path.replace('"', "%22").replace('<', "%3C").replace('>', "%3E"))
}

/// Whether the client said `TE: trailers`, which HTTP/2 backends of gRPC ask for.
pub(crate) fn accepts_trailers(request: &Request) -> bool {
    let mut lines = request.fields.all(FieldName::Te);
    lines.any(|value| {
        value.split(|&byte| byte == b',').any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}
