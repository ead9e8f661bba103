//! What can go wrong with a request to the API server, as far as it is treated apart, and in words for people.

use kube::core::Status;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

const FORBIDDEN: u16 = 403;
const GONE: u16 = 410;
const NOT_FOUND: u16 = 404;
const CONFLICT: u16 = 409;
/// A server that does not stream lists refuses what it does not know as invalid.
const INVALID: [u16; 2] = [400, 422];

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
    /// Anything else, which may pass.
    Other(Arc<str>),
}

impl Fault {
    /// A fault of ours, or of the connection.
    pub(crate) fn other(text: impl Into<Arc<str>>) -> Self {
        Self::Other(text.into())
    }

    fn text(&self) -> &Arc<str> {
        match self {
            Self::Gone(text)
            | Self::Invalid(text)
            | Self::Forbidden(text)
            | Self::NotFound(text)
            | Self::Conflict(text)
            | Self::Other(text) => text,
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
            _ => Self::Other(text),
        }
    }
}

impl From<&kube::Error> for Fault {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(&**status),
            error => Self::Other(explain(error).into()),
        }
    }
}

/// What a status of the API server says, with its code where it says nothing.
fn words(status: &Status) -> String {
    match (status.message.trim(), status.reason.trim()) {
        ("", "") => format!("the API server answered {}", status.code),
        ("", reason) => format!("the API server answered {} {reason}", status.code),
        (message, _) => message.to_owned(),
    }
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
    text.replace("ServiceError: ", "").replace("Error reading events stream: ", "")
}
