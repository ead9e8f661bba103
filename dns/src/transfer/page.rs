//! A message of a transfer, and the records that are yet to be put into one.

use crate::message::Says;
use crate::question::{CLASS_IN, Head};
use crate::wire::{HEADER, Header};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

/// As far as names can be pointed to (RFC 1035 §4.1.4), which secondaries do when they read; bytes.
const LONGEST: usize = 16 << 10;

/// A message that is being written.
#[derive(Debug)]
pub(super) struct Page {
    out: Vec<u8>,
    answers: u16,
    room: usize,
}

impl Page {
    pub(super) fn new(question: &[u8], head: &Head) -> Self {
        let out = [&[0; HEADER], question].concat();
        let room = LONGEST - head.opt_len();
        Self { out, answers: 0, room }
    }

    /// Adds a record; says whether there was room. There always is for the first.
    pub(super) fn add(&mut self, record: &[u8]) -> bool {
        let fits = self.answers == 0 || self.out.len() + record.len() <= self.room;
        if fits && self.answers < u16::MAX {
            self.out.extend_from_slice(record);
            self.answers += 1;
            return true;
        }
        false
    }

    /// `None`: there is no record in it.
    pub(super) fn finish(mut self, head: &Head) -> Option<Vec<u8>> {
        if self.answers == 0 {
            return None;
        }
        let says = Says { is_authoritative: true, ..Says::default() };
        let (id, flags, answers) = (head.id, says.flags(head, false), self.answers);
        let header = Header { id, flags, questions: 1, answers, authorities: 0, additionals: 0 };
        head.finish(&mut self.out, header, ResponseCode::NoError);
        Some(self.out)
    }
}

/// Records one after the other, as they are in a message whose question names the zone.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
    /// How many were taken.
    taken: usize,
}

impl Records {
    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.taken = 0;
    }

    /// The one that [`Self::next`] takes.
    pub(super) fn peek(&self) -> Option<&[u8]> {
        let end = *self.ends.get(self.taken)?;
        let start = self.taken.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end)
    }

    pub(super) fn next(&mut self) -> Option<&[u8]> {
        self.taken += 1;
        let end = *self.ends.get(self.taken - 1)?;
        let start = self.taken.checked_sub(2).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end)
    }
}

/// What a record of a name below the zone begins with, to its TTL.
pub(super) fn start(labels: &[&str], record_type: RecordType, ttl: u32) -> Vec<u8> {
    let mut start = Vec::with_capacity(64);
    for label in labels {
        // Longer ones are in no name that was answered for.
        start.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        start.extend(label.bytes());
    }
    // The zone's name is in the question.
    start.extend([0xC0, HEADER as u8]);
    start.extend([record_type.into(), CLASS_IN].into_iter().flat_map(u16::to_be_bytes));
    start.extend(ttl.to_be_bytes());
    start
}

/// A whole record.
pub(super) fn record(mut start: Vec<u8>, content: &[u8]) -> Vec<u8> {
    start.extend(u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes());
    start.extend(content);
    start
}
