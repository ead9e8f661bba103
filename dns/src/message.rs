//! What all replies have in common, and those that are made of another's records: an upstream's, behind our CNAMEs.

mod names;

use crate::answer::Sections;
use crate::cookie::ClientCookie;
use crate::question::{Asked, Head, MAX_UDP, Query};
use crate::reply::Reply;
use crate::wire::{self, Cursor, HEADER, Header, flag};
use hickory_proto::ProtoError;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use names::Names;

/// Length of our OPT record without options in bytes.
const OPT_LEN: usize = 11;

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
    let (mut message, header) = written((asked, head.class), sections, head.room(transport))?;
    let flags = header.flags | says.flags(head, false);
    head.finish(&mut message, Header { id: head.id, flags, ..header }, sections.code);
    Some(message)
}

/// Writes a message anew with these records in the place of its own, as those of [`write()`] over TCP: all else is as it was,
/// its OPT record too. `None`: it is malformed, or has not one question.
pub(crate) fn write_again(message: &[u8], sections: &Sections) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(message);
    let before = cursor.header().filter(|header| header.questions == 1)?;
    let (_, record_type, class) = cursor.question()?;
    let asked = Asked { wire: message.get(HEADER..cursor.position())?, record_type: record_type.into() };
    let mut opt = &[][..];
    for _ in 0..before.records() {
        let start = cursor.position();
        let record = cursor.record()?;
        if record.record_type == wire::OPT && record.is_root {
            opt = message.get(start..cursor.position())?;
        }
    }
    let room = usize::from(u16::MAX).checked_sub(opt.len())?;
    let (mut again, mut header) = written((&asked, class), sections, room)?;
    again.extend(opt);
    header.additionals += u16::from(!opt.is_empty());
    Header { id: before.id, flags: before.flags | header.flags, ..header }.put(&mut again);
    Some(again)
}

/// A question in a class, and the records behind it that fit; what the header says of them, with TC where answers or
/// authorities are left out, and nothing else.
fn written((asked, class): (&Asked<'_>, u16), sections: &Sections, room: usize) -> Option<(Vec<u8>, Header)> {
    let name = asked.to_question()?.name;
    let mut writer = Writer { message: vec![0; HEADER], names: Names::default(), room };
    writer.name(&name);
    writer.u16(asked.record_type.into());
    writer.u16(class);
    let (answers, is_cut) = writer.records(&sections.answers);
    let (authorities, is_cut) = if is_cut { (0, true) } else { writer.records(&sections.authorities) };
    let additionals = if is_cut { 0 } else { writer.records(&sections.additionals).0 };
    let flags = if is_cut { flag::TRUNCATED } else { 0 };
    let header = Header { id: 0, flags, questions: 1, answers, authorities, additionals };
    Some((writer.message, header))
}

/// A message that is written record by record. The encoder of hickory writes names in full before it makes them short,
/// which takes room that they do not need in the end, and no more than 120 of a message, which may have thousands.
struct Writer {
    message: Vec<u8>,
    names: Names,
    /// Bytes for all but our OPT record.
    room: usize,
}

impl Writer {
    /// Writes records as long as they fit; says how many did, and whether one did not. After that no more may be written,
    /// since what was taken back could be pointed to.
    fn records(&mut self, records: &[Record]) -> (u16, bool) {
        let mut count: u16 = 0;
        for record in records {
            let start = self.message.len();
            match count.checked_add(1).filter(|_| self.record(record)) {
                Some(more) => count = more,
                None => {
                    self.message.truncate(start);
                    return (count, true);
                }
            }
        }
        (count, false)
    }

    /// Writes a record; says whether there was room for it.
    fn record(&mut self, record: &Record) -> bool {
        self.name(&record.name);
        self.u16(record.record_type().into());
        self.u16(record.dns_class.into());
        self.message.extend(record.ttl.to_be_bytes());
        self.u16(0);
        let content_at = self.message.len();
        if content_at > self.room || self.content(&record.data).is_err() || self.message.len() > self.room {
            return false;
        }
        let Ok(length) = u16::try_from(self.message.len() - content_at) else { return false };
        if let Some(place) = self.message.get_mut(content_at - 2..content_at) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        true
    }

    /// Names of the types that RFC 1035 knows are made short, and no others (RFC 3597 §4).
    fn content(&mut self, content: &RData) -> Result<(), ProtoError> {
        match content {
            RData::CNAME(name) => self.name(&name.0),
            RData::NS(name) => self.name(&name.0),
            RData::PTR(name) => self.name(&name.0),
            RData::MX(mx) => {
                self.u16(mx.preference);
                self.name(&mx.exchange);
            }
            RData::SOA(soa) => {
                let SOA { mname, rname, serial, refresh, retry, expire, minimum, .. } = soa;
                self.name(mname);
                self.name(rname);
                self.message.extend(serial.to_be_bytes());
                self.message.extend([*refresh, *retry, *expire].into_iter().flat_map(i32::to_be_bytes));
                self.message.extend(minimum.to_be_bytes());
            }
            others => {
                let start = u32::try_from(self.message.len()).unwrap_or(u32::MAX);
                let mut encoder = BinEncoder::with_offset(&mut self.message, start);
                encoder.set_name_encoding(NameEncoding::Uncompressed);
                others.emit(&mut encoder)?;
            }
        }
        Ok(())
    }

    fn name(&mut self, name: &Name) {
        self.names.write(name, &mut self.message);
    }

    fn u16(&mut self, number: u16) {
        self.message.extend(number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
