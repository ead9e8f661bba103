//! Requests of HTTP/1.

use super::connection::list;
use super::{BodyLength, ConnectionOptions, Framing, Method, Refusal, Request, Target};
use crate::fields::{FieldName, Fields};
use crate::h1::RequestLine;
use crate::record::Version;
use config::{CanonicalPath, Host, PathSettings};

impl Request {
    /// Reads a head; `default_port` is the scheme's. The fields of one that is refused are given back.
    pub(crate) fn from_h1(
        line: &RequestLine,
        fields: Fields,
        paths: PathSettings,
        default_port: u16,
    ) -> Result<Self, (Refusal, Fields)> {
        match Self::without_fields(line, &fields, paths, default_port) {
            Ok(request) => Ok(Self { fields, ..request }),
            Err(refusal) => Err((refusal, fields)),
        }
    }

    fn without_fields(
        line: &RequestLine,
        fields: &Fields,
        paths: PathSettings,
        default_port: u16,
    ) -> Result<Self, Refusal> {
        let name = fields.text(&line.method);
        let method = Method::of(name);
        if matches!(method, Method::Connect | Method::Trace) {
            return Err(Refusal::METHOD);
        }
        let (target_authority, path) = split_target(fields.text(&line.target), method)?;
        let (host, authority) = host_of(fields, line.version, target_authority, default_port)?;
        let target = match path {
            b"*" => Target::Asterisk,
            path => Target::Path(CanonicalPath::parse(path, paths).map_err(|_| Refusal::BAD_PATH)?),
        };
        let body = match Framing::parse(fields, line.version).map_err(|_| Refusal::BAD_REQUEST)? {
            Framing::Absent | Framing::Length(0) => BodyLength::None,
            Framing::Length(length) => BodyLength::Known(length),
            Framing::Chunked => BodyLength::Unknown,
        };
        let options = ConnectionOptions::parse(fields).map_err(|_| Refusal::BAD_REQUEST)?;
        let expects_continue = expects_continue(fields, line.version)? && body != BodyLength::None;
        let is_websocket = line.version == Version::Http11
            && method == Method::Get
            && options.upgrade
            && body == BodyLength::None
            && fields.all(FieldName::Upgrade).flat_map(list).any(|token| token.eq_ignore_ascii_case(b"websocket"));
        Ok(Self {
            version: line.version,
            method,
            method_name: fields.shared(name),
            target,
            host,
            authority: fields.shared(authority),
            body,
            options,
            is_websocket,
            expects_continue,
            fields: Fields::default(),
        })
    }
}

/// Splits off the authority of an absolute-form target (RFC 9112 §3.2.2).
fn split_target(target: &[u8], method: Method) -> Result<(Option<&[u8]>, &[u8]), Refusal> {
    match target {
        [b'/', ..] => return Ok((None, target)),
        b"*" if method == Method::Options => return Ok((None, target)),
        _ => {}
    }
    let scheme = |text: &str| {
        target
            .get(..text.len())
            .filter(|start| start.eq_ignore_ascii_case(text.as_bytes()))
            .and_then(|_| target.get(text.len()..))
    };
    let rest = scheme("http://").or_else(|| scheme("https://")).ok_or(Refusal::BAD_REQUEST)?;
    let authority_len = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_len);
    match path {
        [] if method == Method::Options => Ok((Some(authority), b"*")),
        [] => Ok((Some(authority), b"/")),
        [b'/', ..] => Ok((Some(authority), path)),
        // A query without a path: one reading is `/?query`, but not every peer's.
        _ => Err(Refusal::BAD_REQUEST),
    }
}

type Authority<'f> = (Option<Host>, &'f [u8]);

/// The host that a request names: one Host line, no other than an absolute-form target's (RFC 9112 §3.2).
fn host_of<'f>(
    fields: &'f Fields,
    version: Version,
    target_authority: Option<&'f [u8]>,
    default_port: u16,
) -> Result<Authority<'f>, Refusal> {
    let mut lines = fields.all(FieldName::Host);
    let line = lines.next();
    if lines.next().is_some() {
        return Err(Refusal::BAD_HOST);
    }
    let parse = |authority: &[u8]| Host::parse(authority).map_err(|_| Refusal::BAD_HOST);
    let named = line.map(parse).transpose()?;
    match (target_authority, named) {
        (None, None) if version == Version::Http10 => Ok((None, b"")),
        (_, None) if version == Version::Http11 => Err(Refusal::BAD_HOST),
        (Some(authority), named) => {
            let host = parse(authority)?;
            if named.is_some_and(|named| !named.is_same(&host, default_port)) {
                return Err(Refusal::BAD_HOST);
            }
            Ok((Some(host), authority))
        }
        (None, named) => Ok((named, line.unwrap_or_default())),
    }
}

/// RFC 9110 §10.1.1: `100-continue` in any case; other expectations cannot be met; HTTP/1.0 clients have none.
fn expects_continue(fields: &Fields, version: Version) -> Result<bool, Refusal> {
    if version == Version::Http10 {
        return Ok(false);
    }
    super::expectation(fields)
}
