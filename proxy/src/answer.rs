//! Answers made here: short, in the form that the client prefers, without a product banner.

use crate::record::Reason;
use crate::request::{ALLOW, Method, Request};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct LocalAnswer {
    status: StatusCode,
    map: HeaderMap,
    body: Vec<u8>,
}

/// The forms a body may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Html,
    Json,
}

impl LocalAnswer {
    /// An answer to a request; `None` where its head could not be read.
    pub(crate) fn new(status: u16, reason: Reason, request: Option<&Request>, date: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = match request.filter(|request| request.is_grpc()) {
            Some(_) => Self::grpc(status, reason),
            None => Self::plain(status, reason, request),
        };
        if let Ok(date) = HeaderValue::from_str(date) {
            answer.insert(header::DATE, date);
        }
        answer.insert(header::SERVER, HeaderValue::from_static(crate::down::SERVER));
        if status.is_server_error() {
            answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        match reason {
            Reason::NoEndpoint | Reason::Overflow => answer.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            Reason::MethodNotAllowed => answer.insert(header::ALLOW, HeaderValue::from_static(ALLOW)),
            _ => {}
        }
        answer
    }

    /// A redirect to the same URL over HTTPS; 308 keeps method and body (RFC 9110 §15.4.9).
    pub(crate) fn redirect(location: &str, request: &Request, date: &str) -> Self {
        let mut answer = Self::new(308, Reason::RedirectHttps, Some(request), date);
        if let Ok(location) = HeaderValue::from_str(location) {
            answer.insert(header::LOCATION, location);
        }
        answer
    }

    /// The answer to `OPTIONS *`, or to an OPTIONS that may go no further.
    pub(crate) fn options(request: &Request, date: &str) -> Self {
        let mut answer = Self::new(200, Reason::MethodNotAllowed, Some(request), date);
        answer.body.clear();
        answer.map.remove(header::CONTENT_TYPE);
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        answer
    }

    fn plain(status: StatusCode, reason: Reason, request: Option<&Request>) -> Self {
        let form = request.map_or(Form::Text, preferred_form);
        let code = status.as_u16();
        let phrase = match reason {
            Reason::ClientCertificate => "A client certificate that this host accepts is required",
            Reason::Misdirected => "Misdirected Request: this host needs a connection of its own",
            _ => status.canonical_reason().unwrap_or("Error"),
        };
        let (content_type, body) = match form {
            Form::Text => ("text/plain; charset=utf-8", format!("{code} {phrase}\n")),
            Form::Html => (
                "text/html; charset=utf-8",
                format!("<!doctype html><title>{code} {phrase}</title><h1>{code} {phrase}</h1>\n"),
            ),
            Form::Json => ("application/json", format!("{{\"status\":{code},\"error\":\"{phrase}\"}}\n")),
        };
        let mut answer = Self { status, map: HeaderMap::with_capacity(8), body: body.into_bytes() };
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
        if request.is_some_and(|request| request.method == Method::Head) {
            answer.body.clear();
        }
        answer
    }

    /// gRPC clients look at `grpc-status` and expect HTTP 200 (gRPC over HTTP/2, "Responses").
    fn grpc(status: StatusCode, reason: Reason) -> Self {
        let code = match status.as_u16() {
            _ if reason == Reason::ClientCertificate => 16,
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            421 | 429 | 502 | 503 | 504 => 14,
            _ => 2,
        };
        let mut answer = Self { status: StatusCode::OK, map: HeaderMap::with_capacity(8), body: Vec::new() };
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        answer.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(code));
        answer.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(reason.as_str()));
        answer
    }

    fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.map.insert(name, value);
    }

    pub(crate) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(crate) fn phrase(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.map.iter()
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The first of the forms that Accept names with a weight above 0; text where it names none.
fn preferred_form(request: &Request) -> Form {
    let mut best = (Form::Text, 0u16);
    for value in request.fields.all(crate::fields::FieldName::Accept) {
        for range in value.split(|&byte| byte == b',') {
            let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let form = match parts.next().map(<[u8]>::to_ascii_lowercase).as_deref() {
                Some(b"application/json" | b"application/*") => Form::Json,
                Some(b"text/html" | b"application/xhtml+xml") => Form::Html,
                Some(b"text/plain" | b"text/*") => Form::Text,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix(b"q=")).map_or(Some(1000), weight_of).unwrap_or(0);
            if weight > best.1 {
                best = (form, weight);
            }
        }
    }
    best.0
}

/// A qvalue in thousandths (RFC 9110 §12.4.2).
fn weight_of(text: &[u8]) -> Option<u16> {
    let weight: f32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (0.0..=1.0).contains(&weight).then_some((weight * 1000.0) as u16)
}
