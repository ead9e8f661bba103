//! The upstream's side of an attempt: the request is written, the answer is read, for either version.

mod h1;
mod h2;

pub(crate) use h1::UpH1;
pub(crate) use h2::UpH2;

use crate::record::{Version, WireBytes};
use crate::request::Method;
use crate::response::UpstreamHead;
use bytes::Bytes;
use http::HeaderMap;
use std::task::{Context, Poll};

/// What came from the upstream.
#[derive(Debug)]
pub(crate) enum Download {
    /// A head before the final one (1xx).
    Interim(UpstreamHead),
    /// The final head.
    Final(UpstreamHead),
    /// The upstream has changed protocols; bytes follow that are not HTTP.
    Upgraded(UpstreamHead),
    /// Some of the body; never empty.
    Data(Bytes),
    /// All of it; with trailers where HTTP/2 had some.
    End(Option<HeaderMap>),
}

/// How an upstream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpError {
    /// It closed or reset before the first byte of an answer; it may have acted on the request.
    Silent,
    /// It reset this request alone before the first byte of an answer; it may have acted on it.
    Reset,
    /// It said that it did not act on the request (RFC 9113 §8.7).
    Refused,
    /// It wants HTTP/1.1 (RFC 9113 §7).
    NeedsHttp1,
    /// It closed or reset within its answer.
    Cut,
    /// What it sent is no answer to this request.
    Protocol,
}

/// One upstream, for one attempt.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the common one is not boxed: it would cost an allocation a request")]
pub(crate) enum Up {
    H1(UpH1),
    H2(Box<UpH2>),
}

macro_rules! on_both {
    ($self:expr, $up:ident => $call:expr) => {
        match $self {
            Self::H1($up) => $call,
            Self::H2($up) => $call,
        }
    };
}

impl Up {
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, method: Method) -> Poll<Result<Download, UpError>> {
        match self {
            Self::H1(up) => up.poll_read(cx, method),
            Self::H2(up) => up.poll_read(cx),
        }
    }

    pub(crate) fn version(&self) -> Version {
        match self {
            Self::H1(_) => Version::Http11,
            Self::H2(_) => Version::Http2,
        }
    }

    /// The bytes of this attempt; HTTP/2 does not tell what of its connection is whose.
    pub(crate) fn passed(&self) -> Option<WireBytes> {
        match self {
            Self::H1(up) => Some(up.passed()),
            Self::H2(_) => None,
        }
    }

    /// Reads over what is there of an answer that nobody wants, up to about `limit` bytes.
    pub(crate) fn skip(&mut self, cx: &mut Context<'_>, method: Method, limit: usize) {
        let mut skipped = 0;
        while skipped < limit && !self.is_done() {
            match self.poll_read(cx, method) {
                Poll::Ready(Ok(Download::Data(data))) => skipped += data.len(),
                _ => return,
            }
        }
    }

    /// Whether the answer was read to its end.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::H1(up) => up.is_done(),
            Self::H2(up) => up.is_done(),
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        on_both!(self, up => up.has_room())
    }

    /// Gives back what reads would need: there is no room for what they bring.
    pub(crate) fn release_input(&mut self) {
        if let Self::H1(up) = self {
            up.release_input();
        }
    }

    /// Takes over what came of the answer and nobody has room for, where to leave it costs more than to hold it.
    pub(crate) fn gather(&mut self, cx: &mut Context<'_>) {
        if let Self::H2(up) = self {
            up.gather(cx);
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        on_both!(self, up => up.is_drained())
    }

    /// Sends what is buffered; ready when all has left. An error says that the upstream takes no more.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<Result<(), UpError>> {
        on_both!(self, up => up.poll_drain(cx, progress))
    }

    /// Writes some of the upload; `data` is not empty.
    pub(crate) fn data(&mut self, cx: &mut Context<'_>, data: Bytes) -> Result<(), UpError> {
        match self {
            Self::H1(up) => up.data(cx, data),
            Self::H2(up) => {
                up.data(data);
                Ok(())
            }
        }
    }

    /// Ends the upload.
    pub(crate) fn end(&mut self, trailers: Option<HeaderMap>) {
        on_both!(self, up => up.end(trailers));
    }

    /// Drops the rest of the upload: nothing more of it can be sent.
    pub(crate) fn give_up_upload(&mut self) {
        if let Self::H1(up) = self {
            up.give_up_upload();
        }
    }
}
