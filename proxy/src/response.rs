//! The head of an answer as the upstream gave it, and what of it the client gets.

use crate::fields::{Field, FieldName, Fields};
use crate::record::Version;
use crate::request::{ConnectionOptions, Framing, Method};
use bytes::Bytes;

/// The head of an upstream's answer.
#[derive(Debug)]
pub(crate) struct UpstreamHead {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) phrase: Bytes,
    pub(crate) fields: Fields,
    pub(crate) options: ConnectionOptions,
    pub(crate) framing: Framing,
    /// Whether nothing follows it, which HTTP/2 says with the head.
    pub(crate) ends_here: bool,
}

/// What follows the head on the way to the client (RFC 9112 §6.3, in that order).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AnswerBody {
    /// Nothing, whatever `Content-Length` is told of the body that a GET would have met.
    Absent(Option<u64>),
    Length(u64),
    /// Of unknown length: chunks, DATA frames, or all until close.
    Stream,
}

impl UpstreamHead {
    /// Which body the client is to get.
    pub(crate) fn answer_body(&self, method: Method) -> AnswerBody {
        let length = match self.framing {
            Framing::Length(length) => Some(length),
            Framing::Absent | Framing::Chunked => None,
        };
        match self.status {
            100..=199 | 204 => AnswerBody::Absent(None),
            205 => AnswerBody::Length(0),
            304 => AnswerBody::Absent(length),
            _ if method == Method::Head => AnswerBody::Absent(length),
            _ if self.ends_here => AnswerBody::Length(0),
            _ => length.map_or(AnswerBody::Stream, AnswerBody::Length),
        }
    }

    /// Whether the upstream, by this answer, sends no body at all (RFC 9112 §6.3).
    pub(crate) fn is_bodiless(&self, method: Method) -> bool {
        matches!(self.status, 100..=199 | 204 | 304) || method == Method::Head
    }

    /// The fields that are passed on; framing and connection are written anew.
    pub(crate) fn passed(&self) -> impl Iterator<Item = Field<'_>> {
        self.fields.iter().filter(|field| match field.known {
            FieldName::ContentLength => false,
            FieldName::Upgrade => matches!(self.status, 101 | 426),
            FieldName::ProxyAuthenticate => self.status == 407,
            name => !name.is_hop_by_hop() && !self.options.nominates(field.name),
        })
    }
}
