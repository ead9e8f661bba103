//! What can go wrong with a request to the API server, as far as it is treated apart, and in words for people. These may
//! be anybody's: what could make up a line of the log is escaped here, once.

use crate::Printable;
use http::Response;
use http::header::RETRY_AFTER;
use kube::core::Status;
use kube::core::response::StatusDetails;
use std::error::Error as _;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tower::BoxError;

const FORBIDDEN: u16 = 403;
const GONE: u16 = 410;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;
const TOO_MANY_REQUESTS: u16 = 429;
/// A server that does not stream lists refuses what it does not know as invalid.
const INVALID: [u16; 2] = [400, 422];

/// A server, or a proxy before it, that asks for more than this is asked again all the same: it may have been restarted.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The version that was asked for is no longer kept: a list is needed.
    Gone(Arc<str>),
    /// The request is not understood.
    Invalid(Arc<str>),
    /// We may not do that.
    Forbidden(Arc<str>),
    /// There is no such object.
    NotFound(Arc<str>),
    /// Somebody else has written in between.
    Conflict(Arc<str>),
    /// The server asks to be left alone for so long, at most [`LONGEST_WAIT`].
    Busy(Arc<str>, Duration),
    /// Anything else, which may pass.
    Other(Arc<str>, Sort),
}

/// What faults have in common that are told of once, however their texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// The server answered with this HTTP status.
    Status(u16),
    /// The connection, or making it, failed like this.
    Connection(io::ErrorKind),
    /// Anything else.
    Other,
}

impl Fault {
    /// A fault of ours, or of the connection.
    pub(crate) fn other(text: impl AsRef<str>) -> Self {
        Self::Other(printable(text.as_ref()).into(), Sort::Other)
    }

    /// How long to wait at least before the next try.
    pub(crate) fn wait(&self) -> Duration {
        if let Self::Busy(_, wait) = self { *wait } else { Duration::ZERO }
    }

    pub(crate) fn sort(&self) -> Sort {
        match self {
            Self::Gone(_) => Sort::Status(GONE),
            Self::Invalid(_) => Sort::Status(INVALID[0]),
            Self::Forbidden(_) => Sort::Status(FORBIDDEN),
            Self::NotFound(_) => Sort::Status(NOT_FOUND),
            Self::Conflict(_) => Sort::Status(CONFLICT),
            Self::Busy(..) => Sort::Status(TOO_MANY_REQUESTS),
            Self::Other(_, sort) => *sort,
        }
    }

    fn text(&self) -> &Arc<str> {
        match self {
            Self::Gone(text)
            | Self::Invalid(text)
            | Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Busy(text, _)
            | Self::Other(text, _) => text,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl From<&Status> for Fault {
    fn from(status: &Status) -> Self {
        let text: Arc<str> = Arc::from(words(status));
        match status.code {
            GONE => Self::Gone(text),
            FORBIDDEN => Self::Forbidden(text),
            NOT_FOUND => Self::NotFound(text),
            CONFLICT => Self::Conflict(text),
            code if INVALID.contains(&code) => Self::Invalid(text),
            _ => match status.details.as_ref().map_or(0, |details| details.retry_after_seconds) {
                0 => Self::Other(text, Sort::Status(status.code)),
                seconds => Self::Busy(text, Duration::from_secs(seconds.into()).min(LONGEST_WAIT)),
            },
        }
    }
}

impl From<&kube::Error> for Fault {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(&**status),
            error => Self::Other(explain(error).into(), sort_of(error)),
        }
    }
}

/// The sort of a fault that is no answer of the server.
fn sort_of(error: &kube::Error) -> Sort {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Sort::Connection(error.kind());
        }
        cause = error.source();
    }
    Sort::Other
}

fn printable(text: &str) -> String {
    Printable(text).to_string()
}

/// Makes of an answer that asks for time an error that says how much. Priority and Fairness of the API server says that
/// in a field alone, which the crate does not read (RFC 9110 §10.2.3; an HTTP date is not understood).
///
/// # Errors
/// `kube::Error::Api` for 429 with `Retry-After` in seconds.
pub(crate) async fn not_busy<B>(response: Response<B>) -> Result<Response<B>, BoxError> {
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    match retry_after.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)) {
        Some(retry_after_seconds) if response.status().as_u16() == TOO_MANY_REQUESTS => {
            let message = format!("the API server has too many requests, and asks for {retry_after_seconds} s");
            let details = StatusDetails { retry_after_seconds, ..no_details() };
            let status = Status::failure(&message, "TooManyRequests").with_code(TOO_MANY_REQUESTS);
            Err(Box::new(kube::Error::Api(status.with_details(details).boxed())))
        }
        _ => Ok(response),
    }
}

fn no_details() -> StatusDetails {
    let (name, group, kind, uid, causes, retry_after_seconds) = Default::default();
    StatusDetails { name, group, kind, uid, causes, retry_after_seconds }
}

/// What a status of the API server says, with its code where it says nothing.
fn words(status: &Status) -> String {
    let words = match (status.message.trim(), status.reason.trim()) {
        ("", "") => format!("the API server answered {}", status.code),
        ("", reason) => format!("the API server answered {} {reason}", status.code),
        (message, _) => message.to_owned(),
    };
    printable(&words)
}

/// An error with its causes, outermost first. The crate's own text has a status twice, and of a connection nothing.
pub(crate) fn explain(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return words(status);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Many repeat their cause.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    // The crate's words for where an error passed through.
    printable(&text.replace("ServiceError: ", "").replace("Error reading events stream: ", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_server_make_up_no_line() {
        let status = Status::failure("no\n2026-01-31T12:00:00Z ERROR all is lost\u{1b}[2J", "").with_code(FORBIDDEN);
        let expected = "no\\n2026-01-31T12:00:00Z ERROR all is lost\\u{1b}[2J";
        assert_eq!(Fault::from(&status), Fault::Forbidden(expected.into()));
        let api = kube::Error::Api(status.boxed());
        assert_eq!((Fault::from(&api).to_string(), explain(&api)), (expected.to_owned(), expected.to_owned()));
        let broken = kube::Error::Service(Box::new(io::Error::other("certificate of a\nb")));
        assert_eq!(Fault::from(&broken).to_string(), "certificate of a\\nb");
        assert_eq!(Fault::other("a\rb").to_string(), "a\\rb");
    }

    #[test]
    fn faults_of_one_sort_are_alike_whatever_they_say() {
        let of_code = |code| Fault::from(&Status::failure("no", "").with_code(code)).sort();
        for code in [401, 403, 404, 409, 410, 500, 503] {
            assert_eq!(of_code(code), Sort::Status(code));
        }
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let refused = kube::Error::Service(Box::new(refused));
        assert_eq!(Fault::from(&refused).sort(), Sort::Connection(io::ErrorKind::ConnectionRefused));
        assert_eq!(Fault::other("no answer").sort(), Sort::Other);
    }
}
