//! What all replies have in common, and those that are made of another's records: an upstream's, behind our CNAMEs.

use crate::answer::Sections;
use crate::cookie::ClientCookie;
use crate::question::{Asked, Head, MAX_UDP, Query};
use crate::reply::Reply;
use crate::wire::{self, HEADER, Header, flag};
use hickory_proto::ProtoError;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

/// Length of our OPT record without options in bytes.
const OPT_LEN: usize = 11;
/// Where the question's name is: the owner of most records, named by two bytes.
const QUESTION_NAME: u16 = 0xC000 | HEADER as u16;

/// How a message comes and goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

impl Head {
    /// Bytes that the client takes: RFC 1035 §4.2.1 without EDNS.
    pub(crate) fn limit(&self, transport: Transport) -> usize {
        match transport {
            Transport::Udp => self.edns.map_or(512, |edns| usize::from(edns.payload)),
            Transport::Tcp => usize::from(u16::MAX),
        }
    }

    /// Bytes left for everything but our OPT record.
    pub(crate) fn room(&self, transport: Transport) -> usize {
        self.limit(transport) - self.opt_len()
    }

    /// Bytes of our OPT record.
    pub(crate) fn opt_len(&self) -> usize {
        self.edns.map_or(0, |edns| OPT_LEN + edns.cookie.len())
    }

    /// Appends our OPT record where the client sent one, and puts the code's low bits into the header's flags.
    pub(crate) fn finish(&self, message: &mut Vec<u8>, mut header: Header, code: ResponseCode) {
        header.flags |= u16::from(code.low());
        if let Some(edns) = self.edns {
            message.extend(opt(code.high(), edns.is_dnssec_ok, edns.cookie.len() as u16));
            if let ClientCookie::Answered(cookie) = edns.cookie {
                message.extend(cookie.to_option());
            }
            header.additionals += 1;
        }
        header.put(message);
    }
}

/// Our OPT record: version 0, and before so many bytes of options (RFC 6891 §6.1.2).
pub(crate) fn opt(extended_code: u8, is_dnssec_ok: bool, options: u16) -> [u8; OPT_LEN] {
    let [type_high, type_low] = wire::OPT.to_be_bytes();
    let [size_high, size_low] = MAX_UDP.to_be_bytes();
    let [length_high, length_low] = options.to_be_bytes();
    let flags = if is_dnssec_ok { 0x80 } else { 0 };
    [0, type_high, type_low, size_high, size_low, extended_code, 0, flags, 0, length_high, length_low]
}

/// A message with its length before it, as TCP carries it (RFC 1035 §4.2.2); messages are never longer than 65,535 bytes.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), message].concat()
}

/// What an answer's flags say besides what they repeat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) is_authoritative: bool,
    pub(crate) is_truncated: bool,
    /// Whether names outside the zone are looked up too.
    pub(crate) offers_recursion: bool,
}

impl Says {
    /// The flags of a reply; `is_cut`: not all of it fitted.
    pub(crate) fn flags(self, head: &Head, is_cut: bool) -> u16 {
        let mut flags = flag::RESPONSE | (head.flags & !flag::AUTHENTIC);
        for (is_set, bit) in [
            (self.is_authoritative, flag::AUTHORITATIVE),
            (self.is_truncated || is_cut, flag::TRUNCATED),
            (self.offers_recursion, flag::RECURSION_AVAILABLE),
        ] {
            if is_set {
                flags |= bit;
            }
        }
        flags
    }
}

/// Writes an answer that is a code alone.
pub(crate) fn write_code(out: &mut Vec<u8>, head: &Head, asked: Option<Asked<'_>>, (code, says): (ResponseCode, Says)) {
    // A question is at most 259 bytes, and 512 are always there.
    let mut reply = Reply::new(out, asked.map(|asked| asked.wire).unwrap_or_default(), head.room(Transport::Udp));
    reply.code = code;
    reply.finish(head, says);
}

/// Writes an answer of records that others made. Those that do not fit are left out: additional ones silently, others
/// with TC (RFC 2181 §9). The answers that do fit stay, for resolvers that never try TCP. `None`: there is no question.
pub(crate) fn write(query: &Query<'_>, sections: &Sections, says: Says, transport: Transport) -> Option<Vec<u8>> {
    let Query { head, asked } = query;
    let question = asked.to_question()?;
    let mut message = vec![0; HEADER];
    let mut encoder = BinEncoder::with_offset(&mut message, HEADER as u32);
    encoder.set_max_size(u16::try_from(head.room(transport)).unwrap_or(u16::MAX));
    let name = &question.name;
    name.emit(&mut encoder).ok()?;
    question.record_type.emit(&mut encoder).ok()?;
    head.class.emit(&mut encoder).ok()?;
    let (answers, is_cut) = write_records(&mut encoder, name, &sections.answers);
    let (authorities, is_cut) =
        if is_cut { (0, true) } else { write_records(&mut encoder, name, &sections.authorities) };
    let additionals = if is_cut { 0 } else { write_records(&mut encoder, name, &sections.additionals).0 };
    let flags = says.flags(head, is_cut);
    let header = Header { id: head.id, flags, questions: 1, answers, authorities, additionals };
    head.finish(&mut message, header, sections.code);
    Some(message)
}

/// Writes records as long as they fit; says how many did, and whether one did not.
fn write_records(encoder: &mut BinEncoder<'_>, question: &Name, records: &[Record]) -> (u16, bool) {
    let mut count = 0;
    for record in records {
        let start = encoder.offset();
        if count == u16::MAX || write_record(encoder, question, record).is_err() {
            encoder.set_offset(start);
            encoder.trim();
            return (count, true);
        }
        count += 1;
    }
    (count, false)
}

/// The encoder of hickory writes no more than 120 names short, which would halve what fits into a large answer.
fn write_record(encoder: &mut BinEncoder<'_>, question: &Name, record: &Record) -> Result<(), ProtoError> {
    if question.eq_case(&record.name) {
        encoder.emit_u16(QUESTION_NAME)?;
    } else {
        record.name.emit(encoder)?;
    }
    record.record_type().emit(encoder)?;
    record.dns_class.emit(encoder)?;
    encoder.emit_u32(record.ttl)?;
    let length = encoder.place::<u16>()?;
    record.data.emit(encoder)?;
    let written = u16::try_from(encoder.len_since_place(&length)).unwrap_or(u16::MAX);
    length.replace(encoder, written)
}
