//! A reply as it is written: record by record into a buffer that is used again, cut to what the client takes.
//! A record that does not fit is left out whole: an additional one silently, any other with TC (RFC 2181 §9).

use crate::message::Says;
use crate::name::{LONGEST, LowerName};
use crate::question::{CLASS_IN, Head};
use crate::wire::{HEADER, Header};
use config::DomainName;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::net::IpAddr;

/// Where in the message a name stands, as the two bytes that are written in its place (RFC 1035 §4.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer(u16);

impl Pointer {
    /// The name that was asked for: the owner of most records.
    pub(crate) const QUESTION: Self = Self(Self::MARK | HEADER as u16);
    const MARK: u16 = 0xC000;

    /// To a place in the message; `None`: it is too far from its start.
    pub(crate) fn to(place: usize) -> Option<Self> {
        u16::try_from(place).ok().filter(|place| place & Self::MARK == 0).map(|place| Self(Self::MARK | place))
    }

    /// To the question's name from the label that starts at `start` in it, at most 254.
    pub(crate) fn to_question(start: usize) -> Self {
        Self::to(HEADER + start).unwrap_or(Self::QUESTION)
    }

    pub(crate) fn to_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }
}

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// What a record begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'l> {
    pub(crate) section: Section,
    /// Labels before the name that `owner` points to.
    pub(crate) labels: &'l [&'l str],
    pub(crate) owner: Pointer,
    pub(crate) record_type: RecordType,
    /// Seconds.
    pub(crate) ttl: u32,
}

/// The same of a record whose owner may be any name, in any class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lead {
    pub(crate) section: Section,
    pub(crate) record_type: RecordType,
    pub(crate) class: u16,
    /// Seconds.
    pub(crate) ttl: u32,
}

/// A reply that is being written.
#[derive(Debug)]
pub(crate) struct Reply<'o> {
    out: &'o mut Vec<u8>,
    /// Bytes for all but our OPT record.
    room: usize,
    /// Of the answers, authorities and additionals.
    counts: [u16; 3],
    questions: u16,
    is_cut: bool,
    /// Where the name of the cluster's zone stands, once it does.
    zone: Option<Pointer>,
    pub(crate) code: ResponseCode,
}

impl<'o> Reply<'o> {
    /// Begins a message with this question, as it came; empty: without one. What `out` held is gone.
    pub(crate) fn new(out: &'o mut Vec<u8>, question: &[u8], room: usize) -> Self {
        out.clear();
        out.extend([0; HEADER]);
        out.extend(question);
        let questions = u16::from(!question.is_empty());
        Self { out, room, counts: [0; 3], questions, is_cut: false, zone: None, code: ResponseCode::NoError }
    }

    /// How many records its answer has so far.
    pub(crate) fn answers(&self) -> u16 {
        let [answers, ..] = self.counts;
        answers
    }

    /// Where the name of the cluster's zone stands; `None`: not yet.
    pub(crate) fn zone(&self) -> Option<Pointer> {
        self.zone
    }

    /// The name of the cluster's zone is in the question, from the label that starts at `start`.
    pub(crate) fn zone_is_in_question(&mut self, start: usize) {
        self.zone = Some(Pointer::to_question(start));
    }

    /// Completes the message.
    pub(crate) fn finish(self, head: &Head, says: Says) {
        let flags = says.flags(head, self.is_cut);
        let [answers, authorities, additionals] = self.counts;
        let header = Header { id: head.id, flags, questions: self.questions, answers, authorities, additionals };
        head.finish(self.out, header, self.code);
    }

    /// Writes a record; says whether there was room, and so whether the next one is worth a try.
    pub(crate) fn record(&mut self, start: Start<'_>, content: impl FnOnce(&mut Self)) -> bool {
        let Start { section, labels, owner, record_type, ttl } = start;
        let owner = |reply: &mut Self| {
            labels.iter().for_each(|label| reply.label(label.as_bytes()));
            reply.pointer(owner);
        };
        self.record_of(Lead { section, record_type, class: CLASS_IN, ttl }, owner, content)
    }

    /// The same with what writes the owner.
    pub(crate) fn record_of(
        &mut self,
        lead: Lead,
        owner: impl FnOnce(&mut Self),
        content: impl FnOnce(&mut Self),
    ) -> bool {
        if self.is_cut {
            return false;
        }
        let (before, zone) = (self.out.len(), self.zone);
        owner(self);
        let [[y0, y1], [c0, c1]] = [u16::from(lead.record_type), lead.class].map(u16::to_be_bytes);
        let [t0, t1, t2, t3] = lead.ttl.to_be_bytes();
        self.bytes(&[y0, y1, c0, c1, t0, t1, t2, t3, 0, 0]);
        let content_at = self.out.len();
        content(self);
        let length = u16::try_from(self.out.len() - content_at).unwrap_or(u16::MAX);
        if let Some(place) = content_at.checked_sub(2).and_then(|at| self.out.get_mut(at..content_at)) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        let is_kept = self.keep(lead.section, before);
        if !is_kept {
            self.zone = zone;
        }
        is_kept
    }

    /// Writes an A or AAAA record, as [`Self::record`] does.
    pub(crate) fn address(&mut self, start: Start<'_>, address: IpAddr) -> bool {
        if !start.labels.is_empty() || self.is_cut {
            return self.record(start, |reply| match address {
                IpAddr::V4(address) => reply.bytes(&address.octets()),
                IpAddr::V6(address) => reply.bytes(&address.octets()),
            });
        }
        let before = self.out.len();
        let ([o0, o1], [t0, t1, t2, t3]) = (start.owner.to_bytes(), start.ttl.to_be_bytes());
        // In one piece: this is what most replies are made of.
        match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                self.bytes(&[o0, o1, 0, 1, 0, 1, t0, t1, t2, t3, 0, 4, a, b, c, d]);
            }
            IpAddr::V6(address) => {
                self.bytes(&[o0, o1, 0, 28, 0, 1, t0, t1, t2, t3, 0, 16]);
                self.bytes(&address.octets());
            }
        }
        self.keep(start.section, before)
    }

    /// Counts what was written since `before`, or takes it back where it is too much.
    fn keep(&mut self, section: Section, before: usize) -> bool {
        let [answers, authorities, additionals] = &mut self.counts;
        let count = match section {
            Section::Answer => answers,
            Section::Authority => authorities,
            Section::Additional => additionals,
        };
        let is_kept = self.out.len() <= self.room && *count < u16::MAX;
        if is_kept {
            *count += 1;
        } else {
            self.out.truncate(before);
            self.is_cut |= section != Section::Additional;
        }
        is_kept
    }

    /// Where the next byte goes.
    pub(crate) fn place(&self) -> usize {
        self.out.len()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.bytes(&number.to_be_bytes());
    }

    pub(crate) fn pointer(&mut self, pointer: Pointer) {
        self.bytes(&pointer.to_bytes());
    }

    /// Part of a name, of 1 to 63 bytes, or a text of at most 255.
    pub(crate) fn label(&mut self, label: &[u8]) {
        self.out.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        self.bytes(label);
    }

    /// The name with these labels below the zone; the zone is written out once.
    pub(crate) fn below_zone(&mut self, labels: &[&str], zone: &DomainName) {
        labels.iter().for_each(|label| self.label(label.as_bytes()));
        self.zone_itself(zone);
    }

    /// The zone's name, where labels stand before it.
    pub(crate) fn zone_itself(&mut self, zone: &DomainName) {
        match self.zone {
            Some(pointer) => self.pointer(pointer),
            None => {
                self.zone = Pointer::to(self.place());
                zone.labels().for_each(|label| self.label(label.as_bytes()));
                self.out.push(0);
            }
        }
    }

    /// The same without a pointer, as SRV records have their targets (RFC 2782); the zone in the question's case if it
    /// is there.
    pub(crate) fn whole_below_zone(&mut self, labels: &[&str], zone: &DomainName) {
        labels.iter().for_each(|label| self.label(label.as_bytes()));
        let len = zone.as_str().len() + 2;
        let start = self.zone.map(|Pointer(place)| usize::from(place & !Pointer::MARK));
        match start.filter(|start| self.out.len() >= start + len) {
            Some(start) => self.out.extend_from_within(start..start + len),
            None => {
                zone.labels().for_each(|label| self.label(label.as_bytes()));
                self.out.push(0);
            }
        }
    }

    /// Any name, as much of it as the question has in this very case by a pointer there. `zone`: the index of the label
    /// that the cluster's zone starts with, which is now to be found here.
    pub(crate) fn name(&mut self, name: &LowerName, question: &LowerName, zone: Option<usize>) {
        for index in 0..name.count() {
            match self.in_question(name.suffix(index), question) {
                Some(place) => {
                    if let Some(zone) = zone.filter(|zone| *zone >= index) {
                        self.zone = Pointer::to(place + name.start(zone) - name.start(index));
                    }
                    return self.pointer(Pointer::to_question(place - HEADER));
                }
                None => {
                    if zone == Some(index) {
                        self.zone = Pointer::to(self.place());
                    }
                    self.label(name.label(index));
                }
            }
        }
        self.out.push(0);
    }

    /// Where the question's name ends as this one does.
    fn in_question(&self, rest: &[u8], question: &LowerName) -> Option<usize> {
        let end = HEADER + question.suffix(0).len();
        let mut places = (0..question.count()).map(|label| HEADER + question.start(label));
        places.find(|place| self.out.get(*place..end) == Some(rest))
    }
}

/// Whether these labels make a name below the zone; where not, nobody can ask for it either.
pub(crate) fn is_name(labels: &[&str], zone: &DomainName) -> bool {
    let len: usize = labels.iter().map(|label| label.len() + 1).sum();
    labels.iter().all(|label| (1..=63).contains(&label.len())) && len + zone.as_str().len() + 2 <= LONGEST
}
