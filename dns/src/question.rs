//! What a client asks: the gate that every packet passes first, on every transport.
//! Counts in the header are believed only after the records that they promise were seen.

mod type_name;

pub use type_name::TypeName;

use crate::cookie::ClientCookie;
use crate::name;
use crate::wire::{COOKIE, Cursor, HEADER, Header, NSID, OPT, flag};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use std::fmt;

/// The largest UDP answer that is sent, whatever a client offers to take (DNS flag day 2020); bytes.
pub(crate) const MAX_UDP: u16 = 1232;

/// A name and a type, in class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name in the client's case.
    pub name: Name,
    /// The type asked for.
    pub record_type: RecordType,
}

impl Question {
    /// The question as it is in a message.
    pub(crate) fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.name.len() + 5);
        name::put(&self.name, &mut wire);
        wire.extend(u16::from(self.record_type).to_be_bytes());
        wire.extend(CLASS_IN.to_be_bytes());
        wire
    }
}

/// A question as it is in a packet: a name without pointers in the client's case, type and class.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked<'p> {
    pub(crate) wire: &'p [u8],
    pub(crate) record_type: RecordType,
}

impl<'p> Asked<'p> {
    /// The name in wire form.
    pub(crate) fn name(&self) -> &'p [u8] {
        self.wire.split_last_chunk::<4>().map_or(&[], |(name, _)| name)
    }

    /// The same as others know it; `None`: it is none.
    pub(crate) fn to_question(self) -> Option<Question> {
        let name = Name::read(&mut BinDecoder::new(self.wire)).ok()?;
        Some(Question { name, record_type: self.record_type })
    }
}

impl fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name().escape_ascii(), TypeName(self.record_type))
    }
}

/// What of a client's OPT record matters (RFC 6891 §6.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientEdns {
    /// Bytes that the client takes over UDP, between 512 and [`MAX_UDP`].
    pub(crate) payload: u16,
    /// What it says of that itself, 512 at least.
    pub(crate) advertised: u16,
    /// The DO bit (RFC 3225).
    pub(crate) is_dnssec_ok: bool,
    /// Whether it wants to know which server answers (RFC 5001).
    pub(crate) asks_nsid: bool,
    pub(crate) cookie: ClientCookie,
}

impl ClientEdns {
    /// That of a client that takes so many bytes, and wants nothing.
    pub(crate) fn of(payload: u16) -> Self {
        Self { payload, advertised: payload, is_dnssec_ok: false, asks_nsid: false, cookie: ClientCookie::Absent }
    }
}

/// What an answer repeats of its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: u16,
    /// Opcode, RD, AD and CD in place.
    pub(crate) flags: u16,
    /// Of the question.
    pub(crate) class: u16,
    pub(crate) edns: Option<ClientEdns>,
}

/// A query that is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Query<'p> {
    pub(crate) head: Head,
    pub(crate) asked: Asked<'p>,
}

/// A packet that is no such query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal<'p> {
    /// Gets no answer, for this reason.
    Silence(&'static str),
    /// Asks for nothing but a cookie (RFC 7873 §5.4).
    CookieAlone(Head),
    /// Gets this code alone, with the question if one could be read.
    Code(Head, Option<Asked<'p>>, ResponseCode),
}

const KEPT_FLAGS: u16 = flag::OPCODE | flag::RECURSION_DESIRED | flag::AUTHENTIC | flag::CHECKING_DISABLED;
pub(crate) const CLASS_IN: u16 = 1;
/// Questions about the server itself (RFC 4892).
pub(crate) const CLASS_CHAOS: u16 = 3;
const TKEY: u16 = 249;

impl<'p> Query<'p> {
    /// Reads a packet. Bytes past the last promised record are tolerated.
    pub(crate) fn parse(packet: &'p [u8]) -> Result<Self, Refusal<'p>> {
        let mut cursor = Cursor::new(packet);
        let Some(header) = cursor.header() else { return Err(Refusal::Silence("short")) };
        if header.flags & flag::RESPONSE != 0 {
            // Answering an answer is how two servers keep each other busy for ever.
            return Err(Refusal::Silence("response"));
        }
        let mut head = Head { id: header.id, flags: header.flags & KEPT_FLAGS, class: CLASS_IN, edns: None };
        if header.flags & flag::OPCODE != 0 {
            let (edns, code) = match edns_of_others(cursor, &header) {
                Some((edns, version @ 1..)) => (Some((edns, version)), ResponseCode::BADVERS),
                found => (found, ResponseCode::NotImp),
            };
            return Err(Refusal::Code(Head { edns: edns.map(|(edns, _)| edns), ..head }, None, code));
        }
        if header.questions == 0
            && header.answers == 0
            && header.authorities == 0
            && let Ok(Some((edns, version))) = read_edns(cursor.clone(), &header)
        {
            let with_edns = Head { edns: Some(edns), ..head };
            match (version, edns.cookie) {
                (1.., _) => return Err(Refusal::Code(with_edns, None, ResponseCode::BADVERS)),
                (0, ClientCookie::Brought) => return Err(Refusal::CookieAlone(with_edns)),
                (0, _) => {}
            }
        }
        let malformed = Refusal::Code(head, None, ResponseCode::FormErr);
        let Some((asked, class)) = read_question(&mut cursor, packet, &header) else { return Err(malformed) };
        head.class = class;
        let version = match read_edns(cursor, &header) {
            Err(Malformed) => return Err(Refusal::Code(head, Some(asked), ResponseCode::FormErr)),
            Ok(None) => 0,
            Ok(Some((edns, version))) => {
                head.edns = Some(edns);
                version
            }
        };
        let code = match asked.record_type {
            _ if version > 0 => ResponseCode::BADVERS,
            _ if class != CLASS_IN => ResponseCode::Refused,
            record_type => match refusal(record_type) {
                Some(code) => code,
                None => return Ok(Self { head, asked }),
            },
        };
        Err(Refusal::Code(head, Some(asked), code))
    }
}

/// Whether a type asks for a whole zone, or what has changed of it.
pub(crate) fn is_of_zones(record_type: RecordType) -> bool {
    matches!(record_type, RecordType::AXFR | RecordType::IXFR)
}

/// What is said to questions of a type that no name has records of; `None`: it may have some.
pub(crate) fn refusal(record_type: RecordType) -> Option<ResponseCode> {
    match record_type {
        zones if is_of_zones(zones) => Some(ResponseCode::Refused),
        RecordType::OPT => Some(ResponseCode::FormErr),
        // The rest of RFC 6895's meta types: TKEY, TSIG, MAILB, MAILA.
        RecordType::TSIG | RecordType::Unknown(TKEY | 253 | 254) => Some(ResponseCode::NotImp),
        _ => None,
    }
}

fn read_question<'p>(cursor: &mut Cursor<'p>, packet: &'p [u8], header: &Header) -> Option<(Asked<'p>, u16)> {
    if header.questions != 1 || header.answers != 0 || header.additionals > 2 {
        return None;
    }
    let (_, record_type, class) = cursor.question()?;
    let record_type = RecordType::from(record_type);
    // A client that asks for an incremental transfer shows the SOA it has (RFC 1995 §3).
    let may_show = u16::from(record_type == RecordType::IXFR);
    (header.authorities <= may_show).then_some(())?;
    Some((Asked { wire: packet.get(HEADER..cursor.position())?, record_type }, class))
}

/// The OPT record of a message that is no query, and its EDNS version, as far as its sections are where a query has them:
/// who asks with EDNS is answered with it, whatever is asked (RFC 6891 §6.1.1). `None`: there is none that can be read.
fn edns_of_others(mut cursor: Cursor<'_>, header: &Header) -> Option<(ClientEdns, u8)> {
    (header.questions <= 1).then_some(())?;
    cursor.skip_questions(header)?;
    for _ in 0..header.answers {
        cursor.record()?;
    }
    read_edns(cursor, header).ok()?
}

struct Malformed;

/// The client's OPT record and its EDNS version.
fn read_edns(mut cursor: Cursor<'_>, header: &Header) -> Result<Option<(ClientEdns, u8)>, Malformed> {
    let mut found = None;
    for place in 0..u32::from(header.authorities) + u32::from(header.additionals) {
        let record = cursor.record().ok_or(Malformed)?;
        if record.record_type != OPT || place < u32::from(header.authorities) {
            continue;
        }
        if !record.is_root || found.is_some() {
            return Err(Malformed);
        }
        let [_, version, flags, _] = record.ttl.to_be_bytes();
        let mut edns = ClientEdns::of(record.class.clamp(512, MAX_UDP));
        edns.advertised = record.class.max(512);
        edns.is_dnssec_ok = flags & 0x80 != 0;
        let mut options = Cursor::new(record.content);
        while !options.is_at_end() {
            match options.next_option().ok_or(Malformed)? {
                (NSID, _) => edns.asks_nsid = true,
                (COOKIE, _) => edns.cookie = ClientCookie::Brought,
                _ => {}
            }
        }
        found = Some((edns, version));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
