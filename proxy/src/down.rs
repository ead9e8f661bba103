//! The client's side of an exchange: its upload is read, the answer is written, for either version.
//! Writes are buffered and never wait; `has_room` says when to stop feeding.

mod h1;
mod h2;

pub(crate) use h1::DownH1;
pub(crate) use h2::DownH2;

use crate::answer::LocalAnswer;
use crate::record::WireBytes;
use crate::response::{AnswerBody, UpstreamHead};
use bytes::Bytes;
use http::HeaderMap;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What came from the client.
#[derive(Debug)]
pub(crate) enum Upload {
    /// Some of the body; never empty.
    Data(Bytes),
    /// All of it; with trailers where HTTP/2 had some.
    End(Option<HeaderMap>),
}

/// The client cannot be served any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DownError {
    /// It reset the connection or the stream, or writing to it failed.
    Gone,
    /// Its body ended before its framing said so.
    Cut,
    /// Its body breaks its framing.
    Malformed,
}

/// What watching a client that has nothing to send showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// It sent more: the next request, or bytes of a tunnel to come.
    Bytes,
    /// It ended its half and still waits for the answer (RFC 9112 §9.6).
    HalfClosed,
}

/// What an answer's head needs to know beside the head.
#[derive(Clone, Copy)]
pub(crate) struct HeadOptions<'h> {
    pub(crate) body: AnswerBody,
    /// Whether the connection serves another request after this.
    pub(crate) keep: bool,
    /// Asked for the Date field of now where an answer lacks one.
    pub(crate) date: &'h dyn Fn() -> Rc<str>,
}

/// Name of this server where the upstream gave none.
pub(crate) const SERVER: &str = "tidegate";

/// One client, for one exchange.
#[derive(Debug)]
pub(crate) enum Down<'d> {
    H1(&'d mut DownH1),
    H2(&'d mut DownH2),
}

macro_rules! on_both {
    ($self:expr, $down:ident => $call:expr) => {
        match $self {
            Self::H1($down) => $call,
            Self::H2($down) => $call,
        }
    };
}

impl Down<'_> {
    /// The bytes of this exchange; HTTP/2 does not tell what of its connection is whose.
    pub(crate) fn take_passed(&mut self) -> Option<WireBytes> {
        match self {
            Self::H1(down) => Some(down.take_passed()),
            Self::H2(_) => None,
        }
    }

    /// Reads the upload.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Upload, DownError>> {
        on_both!(self, down => down.poll_read(cx))
    }

    /// Tells that the upload so far was taken, so that more may come.
    pub(crate) fn accepted(&mut self, len: usize) {
        match self {
            Self::H1(_) => {}
            Self::H2(down) => down.accepted(len),
        }
    }

    /// Watches for the client's leaving while nothing of it is read.
    pub(crate) fn poll_watch(&mut self, cx: &mut Context<'_>, read_ahead: usize) -> Poll<Result<Watched, DownError>> {
        match self {
            Self::H1(down) => down.poll_watch(cx, read_ahead),
            Self::H2(down) => down.poll_watch(cx),
        }
    }

    /// Whether the client's leaving wakes nobody, since nothing of it is read; [`Down::poll_watch`] sees it all the same.
    pub(crate) fn is_blind(&self, read_ahead: usize) -> bool {
        match self {
            Self::H1(down) => down.is_blind(read_ahead),
            Self::H2(_) => false,
        }
    }

    /// Gives back what reads would need: there is no room for what they bring.
    pub(crate) fn release_input(&mut self) {
        if let Self::H1(down) = self {
            down.wire.release_input();
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        on_both!(self, down => down.has_room())
    }

    /// Whether all that was written has left, as far as this side can tell.
    pub(crate) fn is_drained(&self) -> bool {
        on_both!(self, down => down.is_drained())
    }

    /// Sends what is buffered; ready when all has left. `progress` is set when any did.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>, progress: &mut bool) -> Poll<Result<(), DownError>> {
        on_both!(self, down => down.poll_drain(cx, progress))
    }

    /// Whether the rest of the upload, if any, is at most `limit` bytes long.
    pub(crate) fn upload_ends_within(&self, limit: u64) -> bool {
        match self {
            Self::H1(down) => down.upload_ends_within(limit),
            // A stream's end leaves the connection as it is.
            Self::H2(_) => true,
        }
    }

    pub(crate) fn interim(&mut self, head: &UpstreamHead) -> Result<(), DownError> {
        match self {
            Self::H1(down) => {
                down.interim(head);
                Ok(())
            }
            Self::H2(down) => down.interim(head),
        }
    }

    pub(crate) fn head(&mut self, head: &UpstreamHead, options: HeadOptions<'_>) -> Result<(), DownError> {
        match self {
            Self::H1(down) => {
                down.head(head, options);
                Ok(())
            }
            Self::H2(down) => down.head(head, options),
        }
    }

    /// Writes some of the answer's body; `data` is not empty.
    pub(crate) fn data(&mut self, cx: &mut Context<'_>, data: Bytes) -> Result<(), DownError> {
        match self {
            Self::H1(down) => down.data(cx, data),
            Self::H2(down) => {
                down.data(data);
                Ok(())
            }
        }
    }

    /// Ends the answer.
    pub(crate) fn end(&mut self, trailers: Option<HeaderMap>) {
        on_both!(self, down => down.end(trailers));
    }

    /// Writes a whole answer that was made here.
    pub(crate) fn local(&mut self, answer: &LocalAnswer, keep: bool) -> Result<(), DownError> {
        match self {
            Self::H1(down) => {
                down.local(answer, keep);
                Ok(())
            }
            Self::H2(down) => down.local(answer),
        }
    }

    /// From here on both directions carry bytes that are not HTTP.
    pub(crate) fn tunnel(&mut self, head: &UpstreamHead, options: HeadOptions<'_>) -> Result<(), DownError> {
        match self {
            Self::H1(down) => {
                down.tunnel(head, options);
                Ok(())
            }
            Self::H2(down) => down.tunnel(head, options),
        }
    }
}
