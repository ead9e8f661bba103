//! Reading a DNS message (RFC 1035 §4.1) without allocating and never past its end.

use crate::name::{LONGEST, MOST_LABELS};

/// Length of the header in bytes.
pub(crate) const HEADER: usize = 12;

/// Bits of the second header word.
pub(crate) mod flag {
    pub(crate) const RESPONSE: u16 = 0x8000;
    pub(crate) const OPCODE: u16 = 0x7800;
    pub(crate) const AUTHORITATIVE: u16 = 0x0400;
    pub(crate) const TRUNCATED: u16 = 0x0200;
    pub(crate) const RECURSION_DESIRED: u16 = 0x0100;
    pub(crate) const RECURSION_AVAILABLE: u16 = 0x0080;
    pub(crate) const AUTHENTIC: u16 = 0x0020;
    pub(crate) const CHECKING_DISABLED: u16 = 0x0010;
    pub(crate) const CODE: u16 = 0x000F;
}

/// Type of the record that a zone begins with (RFC 1035 §3.2.2).
pub(crate) const SOA: u16 = 6;

/// Type of the EDNS pseudo-record (RFC 6891 §6.1).
pub(crate) const OPT: u16 = 41;

/// Code of the EDNS option by which a client asks which server answers, and by which it is told (RFC 5001 §2.3).
pub(crate) const NSID: u16 = 3;

/// Code of the EDNS option by which clients and servers know each other again (RFC 7873 §4).
pub(crate) const COOKIE: u16 = 10;

/// Code of the EDNS option about how long a connection may be silent (RFC 7828 §3.1).
pub(crate) const KEEPALIVE: u16 = 11;

/// Code of the EDNS option that makes messages longer (RFC 7830 §3).
pub(crate) const PADDING: u16 = 12;

/// The header, as six words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u16,
    pub(crate) flags: u16,
    pub(crate) questions: u16,
    pub(crate) answers: u16,
    pub(crate) authorities: u16,
    pub(crate) additionals: u16,
}

impl Header {
    /// Puts it where a message begins, if there is room for it.
    pub(crate) fn put(self, message: &mut [u8]) {
        if let Some(place) = message.get_mut(..HEADER) {
            place.copy_from_slice(&self.to_bytes());
        }
    }

    /// How many records the message has behind its questions, if it is whole.
    pub(crate) fn records(&self) -> u32 {
        u32::from(self.answers) + u32::from(self.authorities) + u32::from(self.additionals)
    }

    pub(crate) fn to_bytes(self) -> [u8; HEADER] {
        let words = [self.id, self.flags, self.questions, self.answers, self.authorities, self.additionals];
        let mut bytes = [0; HEADER];
        for (place, word) in bytes.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

/// A record of any type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawRecord<'a> {
    /// Whether the owner is the root.
    pub(crate) is_root: bool,
    pub(crate) record_type: u16,
    pub(crate) class: u16,
    pub(crate) ttl: u32,
    /// Where the TTL stands in the message.
    pub(crate) ttl_at: usize,
    pub(crate) content: &'a [u8],
}

/// A place in a message; each step is `None` where the message ends too early or is malformed.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { message, at: 0 }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The next bytes, so many.
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let bytes = self.message.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(crate) fn header(&mut self) -> Option<Header> {
        let bytes: [u8; HEADER] = self.take(HEADER)?.try_into().ok()?;
        let [i0, i1, f0, f1, q0, q1, a0, a1, u0, u1, d0, d1] = bytes;
        Some(Header {
            id: u16::from_be_bytes([i0, i1]),
            flags: u16::from_be_bytes([f0, f1]),
            questions: u16::from_be_bytes([q0, q1]),
            answers: u16::from_be_bytes([a0, a1]),
            authorities: u16::from_be_bytes([u0, u1]),
            additionals: u16::from_be_bytes([d0, d1]),
        })
    }

    /// The bytes of a name without compression, at most 255 of them.
    fn plain_name(&mut self) -> Option<&'a [u8]> {
        let (start, mut at) = (self.at, self.at);
        loop {
            match *self.message.get(at)? {
                0 => break,
                len @ 1..=63 => at += 1 + usize::from(len),
                64.. => return None,
            }
        }
        self.at = at + 1;
        self.message.get(start..self.at).filter(|name| name.len() <= LONGEST)
    }

    /// The serial of the SOA record that starts here, whose five numbers are its last bytes (RFC 1035 §3.3.13).
    pub(crate) fn serial(&mut self) -> Option<u32> {
        let record = self.record().filter(|record| record.record_type == SOA)?;
        let (_, numbers) = record.content.split_last_chunk::<20>()?;
        numbers.first_chunk().map(|serial| u32::from_be_bytes(*serial))
    }

    /// Name, type and class of the question that starts here.
    pub(crate) fn question(&mut self) -> Option<(&'a [u8], u16, u16)> {
        Some((self.plain_name()?, self.u16()?, self.u16()?))
    }

    /// Passes over the questions that the header promises.
    pub(crate) fn skip_questions(&mut self, header: &Header) -> Option<()> {
        (0..header.questions).try_for_each(|_| self.question().map(drop))
    }

    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.u8()? {
                0 => return Some(()),
                len @ 1..=63 => drop(self.take(usize::from(len))?),
                high @ 192.. => {
                    // A pointer leads to an earlier name (RFC 1035 §4.1.4), and none is in the header, which changes.
                    let place = usize::from(high & 63) << 8 | usize::from(self.u8()?);
                    return (place >= HEADER).then_some(());
                }
                64..192 => return None,
            }
        }
    }

    /// Passes over a name, all of which can be read: each of its pointers leads to before the place where what it ends
    /// began, which the rest ends before too, and it is no longer than names are.
    pub(crate) fn name(&mut self) -> Option<()> {
        let (mut readable, mut start, mut at) = (self.message, self.at, self.at);
        let (mut len, mut end) = (1, None);
        // A name has no more labels, nor pointers unless these lead to each other.
        let mut pointers = 0..MOST_LABELS;
        loop {
            match *readable.get(at)? {
                0 => break,
                label @ 1..=63 => (at, len) = (at + 1 + usize::from(label), len + 1 + usize::from(label)),
                high @ 192.. => {
                    let place = usize::from(u16::from_be_bytes([high & 63, *readable.get(at + 1)?]));
                    pointers.next().filter(|_| place >= HEADER)?;
                    end.get_or_insert(at + 2);
                    readable = readable.get(..start)?;
                    (start, at) = (place, place);
                }
                64..192 => return None,
            }
        }
        self.at = end.unwrap_or(at + 1);
        (len <= LONGEST).then_some(())
    }

    /// A length and as many bytes (RFC 1035 §3.3, `<character-string>`).
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// The record that starts here; names inside it are not followed.
    pub(crate) fn record(&mut self) -> Option<RawRecord<'a>> {
        let is_root = self.message.get(self.at) == Some(&0);
        self.skip_name()?;
        let (record_type, class) = (self.u16()?, self.u16()?);
        let (ttl_at, ttl, len) = (self.at, self.u32()?, self.u16()?);
        Some(RawRecord { is_root, record_type, class, ttl, ttl_at, content: self.take(usize::from(len))? })
    }

    /// The EDNS options in what follows with their codes (RFC 6891 §6.1.2), up to the first that is not whole.
    pub(crate) fn options(mut self) -> impl Iterator<Item = (u16, &'a [u8])> {
        std::iter::from_fn(move || self.next_option())
    }

    /// The content of the first option with this code in what follows.
    pub(crate) fn option(self, wanted: u16) -> Option<&'a [u8]> {
        self.options().find(|(code, _)| *code == wanted).map(|(_, content)| content)
    }

    /// Code and content of the EDNS option that starts here.
    pub(crate) fn next_option(&mut self) -> Option<(u16, &'a [u8])> {
        let (code, len) = (self.u16()?, self.u16()?);
        Some((code, self.take(usize::from(len))?))
    }

    /// Whether nothing follows.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.message.len()
    }
}
