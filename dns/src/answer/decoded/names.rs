//! Names in content that hickory leaves as bytes: in another message their pointers would lead elsewhere.

use crate::name;
use crate::wire::{Cursor, OPT, RawRecord};
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// Writes out the names of all records of a message, which are in its order and without its OPT record (RFC 3597 §4). `None`:
/// they are not its records.
pub(super) fn write_out<'r>(message: &[u8], records: impl Iterator<Item = &'r mut Record>) -> Option<()> {
    let mut cursor = Cursor::new(message);
    let header = cursor.header()?;
    cursor.skip_questions(&header)?;
    for record in records {
        let mut raw = cursor.record()?;
        if raw.record_type == OPT {
            raw = cursor.record()?;
        }
        // What is no content of its type is whatever it is.
        if let RData::Unknown { code, rdata } = &mut record.data
            && let Some(shape) = names_of((*code).into())
            && let Some(content) = written_out(message, (&raw, cursor.position()), shape)
        {
            *rdata = NULL::with(content);
        }
    }
    Some(())
}

/// How many bytes stand before the names of a type that hickory does not know, and how many names there are.
fn names_of(record_type: u16) -> Option<(usize, usize)> {
    match record_type {
        // MD, MF, MB, MG, MR, NSAP-PTR, DNAME.
        3 | 4 | 7..=9 | 23 | 39 => Some((0, 1)),
        // NXT, NSEC, whose bits stand behind the name.
        30 | 47 => Some((0, 1)),
        // MINFO, RP, TALINK.
        14 | 17 | 58 => Some((0, 2)),
        // AFSDB, RT, KX, LP.
        18 | 21 | 36 | 107 => Some((2, 1)),
        // SIG, RRSIG.
        24 | 46 => Some((18, 1)),
        // PX.
        26 => Some((2, 2)),
        _ => None,
    }
}

/// The content of a record that ends at `end`. `None`: it has no such names.
fn written_out(
    message: &[u8],
    (record, end): (&RawRecord<'_>, usize),
    (before, names): (usize, usize),
) -> Option<Vec<u8>> {
    let mut content = record.content.get(..before)?.to_vec();
    let start = end - record.content.len() + before;
    let mut decoder = BinDecoder::new(message).clone(u16::try_from(start).ok()?);
    for _ in 0..names {
        name::put(&Name::read(&mut decoder).ok()?, &mut content);
    }
    content.extend(message.get(decoder.index()..end)?);
    Some(content)
}
