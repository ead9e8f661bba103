//! Whether an upstream's message can be read by whoever reads DNS: names that lead somewhere, and content of the shape that
//! its type has. One record that has not makes clients throw the whole message away.

use crate::wire::Cursor;

/// What content is made of.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// So many bytes.
    Bytes(usize),
    Name,
    /// A length and so many bytes (RFC 1035 §3.3).
    Text,
    /// Such texts to the end, one at least.
    Texts,
    /// Types in windows to the end (RFC 4034 §4.1.2).
    Types,
    /// Parameters by ascending keys to the end (RFC 9460 §2.2).
    Parameters,
    /// Whatever is left.
    Rest,
}

use Field::{Bytes, Name, Parameters, Rest, Text, Texts, Types};

/// Whether all records are there that the header promises, each as it should be. Costs O(bytes), allocates nothing.
pub(super) fn is_sound(message: &[u8]) -> bool {
    let mut cursor = Cursor::new(message);
    let Some(header) = cursor.header() else { return false };
    cursor.question().is_some() && (0..header.records()).all(|_| record(&mut cursor, message).is_some())
}

/// Passes over the record that starts here. `None`: it is none.
fn record<'a>(cursor: &mut Cursor<'a>, message: &'a [u8]) -> Option<()> {
    cursor.clone().name()?;
    let record = cursor.record()?;
    let end = cursor.position();
    let mut inside = Cursor::new(message);
    inside.take(end - record.content.len())?;
    // Whatever its class: others read all by their types.
    for field in shape(record.record_type) {
        pass(*field, &mut inside, end)?;
    }
    (inside.position() == end).then_some(())
}

fn pass(field: Field, cursor: &mut Cursor<'_>, end: usize) -> Option<()> {
    match field {
        Bytes(count) => drop(cursor.take(count)?),
        Name => cursor.name()?,
        Text => drop(cursor.text()?),
        Texts => {
            cursor.text()?;
            while cursor.position() < end {
                cursor.text()?;
            }
        }
        Types => {
            let mut last = None;
            while cursor.position() < end {
                let (window, types) = (cursor.u8()?, cursor.text()?);
                let is_good = last.replace(window) < Some(window) && (1..=32).contains(&types.len());
                is_good.then_some(())?;
            }
        }
        Parameters => {
            let mut last = None;
            while cursor.position() < end {
                let (key, _) = cursor.next_option()?;
                (last.replace(key) < Some(key)).then_some(())?;
            }
        }
        Rest => drop(cursor.take(end.checked_sub(cursor.position())?)?),
    }
    Some(())
}

/// What the content of a type is made of; of one that is not known here anything is passed on (RFC 3597 §3).
fn shape(record_type: u16) -> &'static [Field] {
    match record_type {
        // A.
        1 => &[Bytes(4)],
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, NSAP-PTR, DNAME.
        2..=5 | 7..=9 | 12 | 23 | 39 => &[Name],
        // SOA.
        6 => &[Name, Name, Bytes(20)],
        // WKS.
        11 => &[Bytes(5), Rest],
        // HINFO.
        13 => &[Text, Text],
        // MINFO, RP.
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX, LP.
        15 | 18 | 21 | 36 | 107 => &[Bytes(2), Name],
        // TXT, ISDN, SPF.
        16 | 20 | 99 => &[Texts],
        // X25.
        19 => &[Text],
        // SIG, RRSIG.
        24 | 46 => &[Bytes(18), Name, Rest],
        // KEY, DS, DNSKEY, CDS, CDNSKEY, URI.
        25 | 43 | 48 | 59 | 60 | 256 => &[Bytes(4), Rest],
        // PX.
        26 => &[Bytes(2), Name, Name],
        // AAAA, LOC.
        28 | 29 => &[Bytes(16)],
        // SRV.
        33 => &[Bytes(6), Name],
        // NAPTR.
        35 => &[Bytes(4), Text, Text, Text, Name],
        // CERT.
        37 => &[Bytes(5), Rest],
        // SSHFP.
        44 => &[Bytes(2), Rest],
        // NSEC.
        47 => &[Name, Types],
        // NSEC3.
        50 => &[Bytes(4), Text, Text, Types],
        // NSEC3PARAM.
        51 => &[Bytes(4), Text],
        // TLSA, SMIMEA.
        52 | 53 => &[Bytes(3), Rest],
        // CSYNC.
        62 => &[Bytes(6), Types],
        // SVCB, HTTPS.
        64 | 65 => &[Bytes(2), Name, Parameters],
        // NID, L64.
        104 | 106 => &[Bytes(10)],
        // L32, EUI48.
        105 | 108 => &[Bytes(6)],
        // EUI64.
        109 => &[Bytes(8)],
        // CAA.
        257 => &[Bytes(1), Text, Rest],
        _ => &[Rest],
    }
}

#[cfg(test)]
mod tests;
