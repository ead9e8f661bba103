//! An upstream's message on its way to the client: bytes as they came, but for what belongs to one hop.

use crate::cache::Ttls;
use crate::extended_error::{self, ExtendedError};
use crate::message::Transport;
use crate::question::Query;
use crate::wire::{Cursor, HEADER, Header, OPT, flag};
use hickory_proto::op::ResponseCode;

pub(super) fn flags(message: &[u8]) -> Option<u16> {
    Cursor::new(message).header().map(|header| header.flags)
}

/// The code that an answer tells without EDNS.
pub(super) fn code(message: &[u8]) -> Option<ResponseCode> {
    flags(message).map(|flags| ResponseCode::from(0, (flags & flag::CODE) as u8))
}

/// The upper bits of an answer's code; `None`: it is without EDNS.
fn extended_code(message: &[u8]) -> Option<u8> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    cursor.question()?;
    let mut records = (0..header.records()).map_while(|_| cursor.record());
    records.find(|record| record.record_type == OPT).map(|record| record.ttl.to_be_bytes()[0])
}

/// Whether an answer says that the version of EDNS is not known (RFC 6891 §6.1.3).
pub(super) fn is_bad_version(message: &[u8]) -> bool {
    // Most have answers.
    let may_be = |header: Header| header.flags & flag::CODE == 0 && header.answers == 0;
    Cursor::new(message).header().is_some_and(may_be) && extended_code(message) == Some(ResponseCode::BADVERS.high())
}

/// Whether a message replies to what was sent with `id`, whatever it says.
pub(super) fn is_reply(message: &[u8], id: u16) -> bool {
    let header = Cursor::new(message).header();
    header.is_some_and(|header| header.id == id && header.flags & flag::RESPONSE != 0)
}

/// The message if it is the answer to a question, in wire form, that was sent with `id` (RFC 5452 §9.1). Who does not
/// take a question may say so without it, and gets it back.
pub(super) fn answer(message: Vec<u8>, id: u16, question: &[u8]) -> Option<Vec<u8>> {
    let header = Cursor::new(&message).header()?;
    if !is_reply(&message, id) || header.flags & flag::OPCODE != 0 {
        return None;
    }
    if header.questions == 0 {
        use ResponseCode::{FormErr, NotImp, Refused, ServFail};
        let is_refusal = matches!(code(&message), Some(FormErr | NotImp | Refused | ServFail));
        let header = Header { questions: 1, answers: 0, authorities: 0, additionals: 0, ..header };
        return is_refusal.then(|| [&header.to_bytes()[..], question].concat());
    }
    let theirs = message.get(HEADER..HEADER + question.len()).and_then(<[u8]>::split_last_chunk::<4>);
    let is_question = theirs.zip(question.split_last_chunk()).is_some_and(|((name, kind), (our_name, our_kind))| {
        // A length byte is never a letter.
        kind == our_kind && name.eq_ignore_ascii_case(our_name)
    });
    (header.questions == 1 && is_question).then_some(message)
}

/// The upstream's answer as the client gets it: with `ttls`, its id, its spelling of the question, our OPT record instead of the
/// upstream's with its extended errors (RFC 8914 §3), no more than it takes. `None`: the message is malformed, or its question is not as long as the client's.
pub(super) fn relay(
    message: &[u8],
    ttls: Ttls,
    query: &Query<'_>,
    transport: Transport,
) -> Option<(Vec<u8>, ResponseCode)> {
    let mut cursor = Cursor::new(message);
    let theirs = cursor.header()?;
    cursor.question()?;
    let (start, room) = (cursor.position(), query.head.room(transport));
    // All that follows stands where it stood, with its pointers.
    (start == HEADER + query.asked.wire.len()).then_some(())?;
    let (mut end, mut is_cut, mut extended_code) = (start, theirs.flags & flag::TRUNCATED != 0, 0);
    let (mut is_open, mut options) = (true, &[][..]);
    let mut reply = vec![0; HEADER];
    reply.extend(query.asked.wire);
    reply.extend(message.get(start..)?);
    let mut keep = |promised: u16, is_needed: bool| -> Option<u16> {
        let mut kept = 0;
        for _ in 0..promised {
            let record = cursor.record()?;
            if record.record_type == OPT {
                // What follows it, TSIG at most, is for this hop too.
                [extended_code, ..] = record.ttl.to_be_bytes();
                (is_open, options) = (false, record.content);
            } else if is_open && cursor.position() <= room {
                (kept, end) = (kept + 1, cursor.position());
                if let Some(place) = reply.get_mut(record.ttl_at..record.ttl_at + 4) {
                    place.copy_from_slice(&ttls.of(record.ttl).to_be_bytes());
                }
            } else {
                is_cut |= is_needed && is_open;
                is_open = false;
            }
        }
        Some(kept)
    };
    let answers = keep(theirs.answers, true)?;
    let authorities = keep(theirs.authorities, theirs.answers == 0)?;
    let additionals = keep(theirs.additionals, false)?;
    // A code that needs EDNS is about the hop between the upstream and us.
    let whole = ResponseCode::from(extended_code, (theirs.flags & flag::CODE) as u8);
    let code = if extended_code == 0 { whole } else { ResponseCode::ServFail };
    let asked = flag::OPCODE | flag::RECURSION_DESIRED | flag::CHECKING_DISABLED;
    let mut flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | (query.head.flags & asked);
    flags |= theirs.flags & flag::AUTHORITATIVE;
    if query.head.flags & flag::AUTHENTIC != 0 || query.head.edns.is_some_and(|edns| edns.is_dnssec_ok) {
        // Only those who ask about it are told (RFC 6840 §5.8).
        flags |= theirs.flags & flag::AUTHENTIC;
    }
    if is_cut {
        flags |= flag::TRUNCATED;
    }
    reply.truncate(end);
    let header = Header { id: query.head.id, flags, questions: 1, answers, authorities, additionals };
    query.head.finish(&mut reply, header, code);
    if code != whole {
        let why = format!("the upstream answered with the code {}", u16::from(whole));
        ExtendedError::Other.add(&why, &mut reply, (&query.head, transport));
    }
    extended_error::pass_on(options, &mut reply, (&query.head, transport));
    Some((reply, code))
}

#[cfg(test)]
mod tests;
